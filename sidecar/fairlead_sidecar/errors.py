"""Every failure that an agent or the operator is told about, with one name for each.

`code` is what tools return (snake_case), `reason` is the same thing as a condition reason (CamelCase).
"""

from typing import ClassVar


class FairleadError(Exception):
    """A fault of Fairlead itself, and the base of all failures: the message says what happened, `hint` what to do."""

    code: ClassVar[str] = "internal_error"
    reason: ClassVar[str] = "InternalError"
    retriable: ClassVar[bool] = False
    """Whether the same call may succeed later without anybody changing anything."""
    default_hint: ClassVar[str] = "This is a fault of Fairlead itself; its log has the cause."

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint if hint is not None else self.default_hint


class LinkError(FairleadError):
    """The SSH connection to the host could not be made or was lost."""


class HostUnreachable(LinkError):
    """No TCP connection: refused, no route, no answer, unknown host name."""

    code = "host_unreachable"
    reason = "Unreachable"
    retriable = True
    default_hint = "Check that the host is up and that address, port and network are right."


class AuthenticationFailed(LinkError):
    """The server refused the login."""

    code = "authentication_failed"
    reason = "AuthenticationFailed"
    default_hint = "Put a credential that the host accepts for this user into the Secret, or mend authorized_keys."


class HostKeyMismatch(LinkError):
    """The server presented a key that is not trusted."""

    code = "host_key_mismatch"
    reason = "HostKeyMismatch"
    default_hint = "Compare the fingerprint with the host's own; change the pin only if you know why the key changed."

    public_key: str | None = None
    """The key that was presented, or that of the authority behind its certificate; None: no key was judged."""


class HostKeyNotPinned(LinkError):
    """The server is seen for the first time: its key is known, and nobody has said yet that it is to be trusted."""

    code = "host_key_not_pinned"
    reason = "HostKeyNotPinned"
    retriable = True
    default_hint = "Its key is pinned within seconds; then the login goes on."


class CredentialsNotFound(LinkError):
    """The Secret is missing or holds none of the keys that can log in."""

    code = "credentials_not_found"
    reason = "SecretNotFound"
    default_hint = "Create the Secret with `ssh-privatekey` or `password`."


class CredentialsInvalid(LinkError):
    """A credential can't be read: malformed key, wrong passphrase."""

    code = "credentials_invalid"
    reason = "CredentialsInvalid"
    default_hint = "Mend the named key of the Secret."


class ProtocolFailure(LinkError):
    """What answers is no SSH server that we can talk to."""

    code = "ssh_protocol_error"
    reason = "ProtocolError"
    retriable = True
    default_hint = "Check that the port belongs to an SSH server with current algorithms."


class ConnectionLost(LinkError):
    """The connection broke while the call was under way; what it did up to then is unknown."""

    code = "connection_lost"
    reason = "ConnectionLost"
    retriable = True
    default_hint = "The command may have run in part: look at the host's state before repeating it."


class PolicyDenied(FairleadError):
    """The host's policy forbids it, whoever asks."""

    code = "policy_denied"
    reason = "PolicyDenied"
    default_hint = "Ask the host's owner to change spec.policy if this is needed."


class InvalidRequest(FairleadError):
    """The arguments make no sense; nothing was done."""

    code = "invalid_request"
    reason = "InvalidRequest"
    default_hint = "Correct the argument that the message names."


class CommandTimedOut(FairleadError):
    """The command ran past its deadline and was killed."""

    code = "command_timed_out"
    reason = "CommandTimedOut"
    default_hint = "Give a longer timeout (up to the host's limit) or start less work."


class CallTimedOut(FairleadError):
    """A call of one of the host's MCP servers took longer than calls may, and was cancelled there."""

    code = "call_timed_out"
    reason = "CallTimedOut"
    default_hint = "Ask for less at once, or have the host's owner raise limits.commandTimeout."


class SudoFailed(FairleadError):
    """sudo did not let the command run: wrong password, not in sudoers, not installed."""

    code = "sudo_failed"
    reason = "SudoFailed"
    default_hint = "Let the account run it in sudoers, or mend the password's Secret."


class ConfirmationRefused(FairleadError):
    """A person had to agree to the command, and did not, or can't be asked by this client."""

    code = "confirmation_refused"
    reason = "ConfirmationRefused"
    default_hint = "Ask the person, or use a client that supports MCP elicitation."


class NotFound(FairleadError):
    """The id stands for nothing that this token may see: unknown, another token's, or no longer kept."""

    code = "not_found"
    reason = "NotFound"
    default_hint = "Ids end with the sidecar's pod, with their token and an hour after the command."


class FileChanged(FairleadError):
    """The file is not what the caller took it for, so nothing was changed."""

    code = "file_changed"
    reason = "FileChanged"
    default_hint = "Read the file again and make the change on what it holds now."


class FileError(FairleadError):
    """The host refused the file operation: missing, no permission, no space, not a directory."""

    code = "file_error"
    reason = "FileError"
    default_hint = "Check the path and the account's rights on the host."


class TooBusy(FairleadError):
    """All SSH sessions that the host allows are in use, or too many calls are under way."""

    code = "host_busy"
    reason = "HostBusy"
    retriable = True
    default_hint = "Try again when other calls have ended, or raise maxConnections."


class RateLimited(FairleadError):
    """The token has started as many commands within an hour as it may."""

    code = "rate_limited"
    reason = "RateLimited"
    retriable = True
    default_hint = "Try again later, or do more with each command."


class PermissionDenied(FairleadError):
    """The token lacks the permission that the tool needs."""

    code = "permission_denied"
    reason = "PermissionDenied"
    default_hint = "Use a token whose permissions include it (spec.permissions of the McpToken)."


class AddressNotAllowed(FairleadError):
    """The token may no longer be used from where the call came."""

    code = "address_not_allowed"
    reason = "AddressNotAllowed"
    default_hint = "Use the token from one of its networks (spec.sourceCIDRs of the McpToken)."


class TokenRevoked(FairleadError):
    """The token was deleted, suspended or expired while the call ran."""

    code = "token_revoked"
    reason = "TokenRevoked"
    default_hint = "Ask for a new token."


class Cancelled(FairleadError):
    """The call was ended before it was done: by its client, or because the sidecar stops."""

    code = "cancelled"
    reason = "Cancelled"
    retriable = True
    default_hint = "The command was killed; look at the host's state before repeating it."
