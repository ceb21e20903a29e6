"""Why an upstream server can't be used: each with a name of its own, the same in conditions and in tool errors."""

from fairlead_sidecar.errors import FairleadError


class UpstreamError(FairleadError):
    """An upstream server failed in a way that has no name of its own."""

    code = "mcp_server_failed"
    reason = "Failed"
    retriable = True
    default_hint = "Look at the server's own log on the host."


class Starting(UpstreamError):
    """It is being started or connected to for the first time, or again."""

    code = "mcp_server_starting"
    reason = "Starting"
    default_hint = "Try again in a moment."


class LinkDown(UpstreamError):
    """There is no SSH connection to the host."""

    code = "mcp_server_link_down"
    reason = "LinkDown"
    default_hint = "It comes back with the connection; connection_status or the condition Connected says what is wrong."


class CommandNotFound(UpstreamError):
    """Stdio: the host has no such program on the account's PATH, or may not execute it."""

    code = "mcp_server_command_not_found"
    reason = "CommandNotFound"
    retriable = False
    default_hint = "Install it for the account, or give its absolute path."


class StartFailed(UpstreamError):
    """Stdio: the program ended before it had answered the MCP handshake."""

    code = "mcp_server_start_failed"
    reason = "StartFailed"
    default_hint = "Run the same command on the host by hand, in a login shell."


class Exited(UpstreamError):
    """The server worked and then ended, or closed its connection; it is started again with back-off."""

    code = "mcp_server_exited"
    reason = "Exited"
    default_hint = "It is started or connected to again; whether a call did anything before is unknown."


class NotListening(UpstreamError):
    """HTTP, SSH: nothing accepts connections at the address."""

    code = "mcp_server_not_listening"
    reason = "NotListening"
    default_hint = "Start the server on the host, and check the address and the port."


class ForwardingRefused(UpstreamError):
    """HTTP, SSH: the host's SSH server does not let connections through."""

    code = "mcp_server_forwarding_refused"
    reason = "ForwardingRefused"
    retriable = False
    default_hint = "Allow it in sshd_config (AllowTcpForwarding local, PermitOpen) or in the key's options."


class EndpointNotFound(UpstreamError):
    """HTTP: there is a web server, but no MCP at this path (404, 405, or something that is no MCP)."""

    code = "mcp_server_endpoint_not_found"
    reason = "EndpointNotFound"
    retriable = False
    default_hint = "Check the path of the URL: many servers answer at /mcp, older ones at /sse (transport: SSE)."


class Unauthorized(UpstreamError):
    """HTTP: the server wants another credential (401, 403)."""

    code = "mcp_server_unauthorized"
    reason = "Unauthorized"
    retriable = False
    default_hint = "Put the header that the server accepts into headers, its value into the Secret."


class NotResponding(UpstreamError):
    """The server did not answer the MCP handshake in time."""

    code = "mcp_server_not_responding"
    reason = "NotResponding"
    default_hint = "Check that it speaks MCP there; raise startTimeout if it needs longer."


class ProtocolError(UpstreamError):
    """What the server sends is no MCP that we can work with."""

    code = "mcp_server_protocol_error"
    reason = "ProtocolError"
    default_hint = "A stdio server may write nothing but MCP messages to its standard output."


class HostKeyMismatch(UpstreamError):
    """SSH: the server presented a key that is not trusted."""

    code = "mcp_server_host_key_mismatch"
    reason = "HostKeyMismatch"
    retriable = False
    default_hint = "Compare the fingerprint with the server's own; change the pin only if you know why it changed."


class AuthenticationFailed(UpstreamError):
    """SSH: the server refused the login."""

    code = "mcp_server_authentication_failed"
    reason = "AuthenticationFailed"
    retriable = False
    default_hint = "Put a credential that the server accepts into its Secret."


class SecretNotFound(UpstreamError):
    """A variable, header or credential names a Secret, or a key of it, that is not there."""

    code = "mcp_server_secret_not_found"
    reason = "SecretNotFound"
    retriable = False
    default_hint = "Create the Secret with this key, or correct the reference."


class TooManySessions(UpstreamError):
    """PerSession: as many sessions with the server are open as Fairlead keeps."""

    code = "mcp_server_too_many_sessions"
    reason = "TooManySessions"
    default_hint = "Close other clients, or wait: a session that is not used for 10 minutes is ended."


def again(fault: UpstreamError) -> UpstreamError:
    """The same failure, to be raised once more: each that is raised has a traceback of its own."""
    return type(fault)(fault.message, hint=fault.hint)
