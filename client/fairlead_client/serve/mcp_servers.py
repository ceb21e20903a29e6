"""What is said of MCP servers on the host, in the sidecar's words."""

from fairlead_api.mcp_servers import McpHostKey, McpServer, SshServer
from fairlead_api.plain import plain
from fairlead_client.serve.host_file import HostFile, Secrets
from fairlead_sidecar import config as sidecar


def mcp_servers(host: HostFile, secrets: Secrets) -> tuple[sidecar.McpServer, ...]:
    """The servers, in the order in which they are said.

    Raises:
        HostFileError: The value of a Secret is not there.
    """
    return tuple(
        sidecar.McpServer(
            name=server.name,
            isolation=server.isolation.value,
            start_timeout=server.start_timeout.total_seconds(),
            server=_server(server, secrets),
        )
        for server in host.mcp_servers or ()
    )


def _server(server: McpServer, secrets: Secrets) -> sidecar.StdioServer | sidecar.HttpServer | sidecar.SshServer:
    if server.stdio is not None:
        return sidecar.StdioServer.model_validate(plain(server.stdio, secrets.value))
    if server.http is not None:
        return sidecar.HttpServer.model_validate(plain(server.http, secrets.value))
    if server.ssh is not None:
        return _ssh(server.ssh, secrets)
    raise AssertionError("the API's model holds the member that type names")


def _ssh(server: SshServer, secrets: Secrets) -> sidecar.SshServer:
    if server.auth.secret is None:
        raise AssertionError("the API's model holds the member that type names")
    name = server.auth.secret.name
    return sidecar.SshServer(
        target=sidecar.Target(address=server.address, port=server.port, username=server.username),
        auth=sidecar.SecretFiles(directory=secrets.directory(name), secret_name=name),
        host_key=_host_key(server.host_key),
        command=server.command,
    )


def _host_key(key: McpHostKey) -> sidecar.PinnedHostKeys | sidecar.AuthorityHostKeys | sidecar.KeyServer:
    if key.pinned is not None:
        return sidecar.PinnedHostKeys(public_keys=key.pinned.public_keys)
    if key.authority is not None:
        return sidecar.AuthorityHostKeys(public_keys=key.authority.public_keys)
    if key.key_server is not None:
        return sidecar.KeyServer(url=key.key_server.url)
    raise AssertionError("the API's model holds the member that type names")
