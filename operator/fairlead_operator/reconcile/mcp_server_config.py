"""What a RemoteHost says about MCP servers, in the sidecar's words."""

from collections.abc import Iterable

from fairlead_api.mcp_servers import McpHostKey, McpServer, SshServer
from fairlead_api.plain import plain
from fairlead_operator.reconcile.mounts import secret_value
from fairlead_sidecar import config as sidecar


def mcp_servers(servers: Iterable[McpServer] | None) -> tuple[sidecar.McpServer, ...]:
    """The servers in the order in which they are written; None: none."""
    return tuple(
        sidecar.McpServer(
            name=server.name,
            isolation=server.isolation.value,
            start_timeout=server.start_timeout.total_seconds(),
            server=_server(server),
        )
        for server in servers or ()
    )


def _server(server: McpServer) -> sidecar.StdioServer | sidecar.HttpServer | sidecar.SshServer:
    if server.stdio is not None:
        return sidecar.StdioServer.model_validate(plain(server.stdio, secret_value))
    if server.http is not None:
        return sidecar.HttpServer.model_validate(plain(server.http, secret_value))
    if server.ssh is not None:
        return _ssh(server.name, server.ssh)
    raise AssertionError("the API's model holds the member that type names")


def _ssh(name: str, server: SshServer) -> sidecar.SshServer:
    if server.auth.secret is None:
        raise AssertionError("the API's model holds the member that type names")
    return sidecar.SshServer(
        target=sidecar.Target(address=server.address, port=server.port, username=server.username),
        auth=sidecar.SecretFiles(directory=sidecar.MCP_SERVERS_DIRECTORY / name, secret_name=server.auth.secret.name),
        host_key=_host_key(server.host_key),
        command=server.command,
    )


def _host_key(
    host_key: McpHostKey,
) -> sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys | sidecar.KeyServer:
    if host_key.pinned is not None:
        return sidecar.PinnedHostKeys(public_keys=host_key.pinned.public_keys)
    if host_key.authority is not None:
        return sidecar.AuthorityHostKeys(public_keys=host_key.authority.public_keys)
    if host_key.key_server is not None:
        return sidecar.KeyServer(url=host_key.key_server.url)
    raise AssertionError("the API's model holds the member that type names")
