"""Which way leads to which kind of upstream server."""

from fairlead_sidecar.config import HttpServer, McpServer, SidecarConfig, StdioServer
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream.spec import OpenWire


def wire_of(server: McpServer, link: Link, config: SidecarConfig) -> OpenWire:
    """What opens connections to a server, all of them through the link."""
    # What a host without such servers does not need is not loaded.
    if isinstance(server.server, StdioServer):
        from fairlead_sidecar.upstream.stdio import stdio_wire  # noqa: PLC0415 - see above

        return stdio_wire(
            server.server,
            link,
            name=server.name,
            start_timeout=server.start_timeout,
            environment=config.environment,
        )
    if isinstance(server.server, HttpServer):
        from fairlead_sidecar.upstream.http import http_wire  # noqa: PLC0415 - see above

        return http_wire(server.server, link.open_connection)
    from fairlead_sidecar.upstream.nested_ssh import ssh_wire  # noqa: PLC0415 - see above

    return ssh_wire(server.server, link.tunnel, name=server.name, settings=config.connection)
