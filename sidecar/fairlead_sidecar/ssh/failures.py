"""Turns what asyncssh and the operating system raise into errors that say what to do."""

import errno
import socket
from enum import Enum, auto

import asyncssh

from fairlead_sidecar.errors import (
    AuthenticationFailed,
    CredentialsInvalid,
    HostKeyMismatch,
    HostUnreachable,
    LinkError,
    ProtocolFailure,
)
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys


class Stage(Enum):
    """How far a login has come."""

    CONNECTING = auto()
    """Name lookup and TCP."""
    GREETING = auto()
    """TCP is there; the server's identification is not (RFC 4253, section 4.2)."""
    LOGIN = auto()
    """Key exchange and authentication."""


MAX_PEER_TEXT = 200
"""Characters of a peer's words that are passed on."""


def quoted(text: str) -> str:
    """A peer's own words, fit for a message: it may be anybody, also before its host key was checked.

    What is not printable ASCII is escaped, so that no terminal obeys it; the rest is cut.
    """
    shown = ascii(text)[1:-1]
    cut = shown if len(shown) <= MAX_PEER_TEXT else f"{shown[:MAX_PEER_TEXT]}…"
    return f"«{cut}»"


def no_answer(place: str, stage: Stage, seconds: float) -> HostUnreachable:
    """Nothing came back for `seconds`."""
    what = {
        Stage.CONNECTING: f"{place} did not answer within {seconds:g} s.",
        Stage.GREETING: f"{place} accepted the TCP connection, but sent no SSH greeting within {seconds:g} s.",
        Stage.LOGIN: f"{place} did not finish the login within {seconds:g} s.",
    }[stage]
    hint = {
        Stage.CONNECTING: None,
        Stage.GREETING: "Check that the port belongs to sshd and that the host is not hung; it is retried by itself.",
        Stage.LOGIN: "Check the load and the authentication services of the host, or raise connectTimeout.",
    }[stage]
    return HostUnreachable(what, hint=hint)


def refused_login(place: str, username: str, offered: str) -> AuthenticationFailed:
    """The server would not have any of the credentials."""
    return AuthenticationFailed(f"{place} refused the login of user {username} with {offered}.")


def untrusted_host_key(
    place: str, trusted: TrustedHostKeys, presented: asyncssh.SSHKey | None, detail: str
) -> HostKeyMismatch:
    """The presented key is not one of the trusted ones; the message has both fingerprints."""
    if presented is None:
        return HostKeyMismatch(f"{place} presented a host key that can't be trusted: {quoted(detail)}.")
    seen = f"{place} presented the {presented.get_algorithm()} host key {presented.get_fingerprint()}"
    if not trusted.keys and not trusted.authorities:
        return HostKeyMismatch(
            f"{seen}, and {trusted.source} has no entry for it.",
            hint="Compare the fingerprint with the host's own, then connect once with ssh to store it.",
        )
    wanted = ", ".join(trusted.fingerprints) or "a certificate of a trusted authority"
    return HostKeyMismatch(f"{seen}, but {trusted.source} trust only {wanted}.")


def from_asyncssh(place: str, error: asyncssh.Error, stage: Stage) -> LinkError:
    """A failure of the SSH protocol, other than a refused host key or login."""
    if "authentication failures" in error.reason.lower():
        return AuthenticationFailed(
            f"{place} cut the login off: {quoted(error.reason)}.",
            hint="Offer fewer keys (an agent may hold many: IdentitiesOnly helps), or the right one first.",
        )
    if isinstance(error, asyncssh.ChannelOpenError):
        return HostUnreachable(
            f"{place} can't be reached from the jump host: {quoted(error.reason)}.",
            hint="Check that the host is up, and that the jump host may forward to it (AllowTcpForwarding).",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return ProtocolFailure(
            f"{place} shares no algorithm with us: {quoted(error.reason)}.",
            hint="Update the SSH server, or enable current algorithms in its configuration.",
        )
    if isinstance(error, asyncssh.ConnectionLost):
        when = "before its SSH greeting" if stage is Stage.GREETING else "during the login"
        return HostUnreachable(
            f"{place} closed the connection {when}.",
            hint="Check that the port belongs to sshd, and its log (MaxStartups, fail2ban, a firewall).",
        )
    if isinstance(error, asyncssh.IllegalUserName):
        return CredentialsInvalid(
            f"The user name can't be used: {quoted(error.reason)}.", hint="Correct spec.username."
        )
    return ProtocolFailure(f"{place} does not speak SSH as expected: {quoted(error.reason)}.")


def from_os(place: str, error: OSError) -> HostUnreachable:
    """A failure below SSH."""
    if isinstance(error, socket.gaierror):
        return HostUnreachable(
            f"The host name of {place} can't be resolved: {error.strerror}.",
            hint="Check the address and the cluster's DNS; it is retried by itself.",
        )
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return HostUnreachable(
            f"{place} refused the connection: nothing listens on that port.",
            hint="Check the port and that sshd runs on the host; it is retried by itself.",
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return HostUnreachable(f"There is no route to {place}: {error.strerror}.")
    if isinstance(error, ConnectionResetError):
        return HostUnreachable(f"{place} reset the connection.")
    return HostUnreachable(f"{place} can't be reached: {error.strerror or error}.")
