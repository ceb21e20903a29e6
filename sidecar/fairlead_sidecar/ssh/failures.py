"""Turns what asyncssh and the operating system raise into errors that say what to do."""

import errno
import socket
from enum import Enum, auto
from typing import Protocol

import asyncssh

from fairlead_sidecar.errors import (
    AuthenticationFailed,
    CredentialsInvalid,
    HostKeyMismatch,
    HostKeyNotPinned,
    HostUnreachable,
    LinkError,
    ProtocolFailure,
)
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys, public_line


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
        Stage.GREETING: "Check that the port belongs to sshd and that the host is not hung.",
        Stage.LOGIN: "Check the load and the authentication services of the host, or raise connectTimeout.",
    }[stage]
    return HostUnreachable(what, hint=hint)


class Asking(Protocol):
    """What was asked and answered during a login."""

    problem: str | None
    gave_code: bool


def refused_login(
    place: str, username: str, offered: str, asking: Asking | None, hint: str = ""
) -> AuthenticationFailed:
    """The server would not have any of the credentials.

    Args:
        place: The server.
        username: The account.
        offered: The credentials, in words.
        asking: What the server asked, if anything.
        hint: What to do about these credentials; empty: they are of a Secret that a person fills.
    """
    refused = f"{place} refused the login of user {username} with {offered}"
    if asking is not None and asking.problem:
        return AuthenticationFailed(f"{refused}: {asking.problem}.")
    if asking is not None and asking.gave_code:
        return AuthenticationFailed(
            f"{refused}; the one-time code was sent.",
            hint="Check `password` and `totp-secret` in the Secret, and that the host's clock is right.",
        )
    return AuthenticationFailed(f"{refused}.", hint=hint or None)


def untrusted_host_key(
    place: str, host: str, trusted: TrustedHostKeys, presented: asyncssh.SSHKey | None, detail: str
) -> HostKeyMismatch | HostKeyNotPinned:
    """The presented key is not one of the trusted ones; the message has both fingerprints."""
    # What follows is the host's name, which may be anything.
    detail = detail.partition(" for host ")[0]
    if presented is None:
        return _bad_certificate(place, host, detail)
    if trusted.is_first_use:
        return HostKeyNotPinned(
            f"{place} presented the {presented.get_algorithm()} host key {presented.get_fingerprint()}, the first one"
            " seen of it, which is not pinned yet."
        )
    error = _mismatch(place, trusted, presented, detail)
    error.public_key = public_line(presented) or ""
    return error


def _mismatch(place: str, trusted: TrustedHostKeys, presented: asyncssh.SSHKey, detail: str) -> HostKeyMismatch:
    algorithm, fingerprint = presented.get_algorithm(), presented.get_fingerprint()
    if "CA key" in detail:
        seen = f"{place} presented a host certificate of the authority {fingerprint} ({algorithm})"
    else:
        seen = f"{place} presented the {algorithm} host key {fingerprint}"
    if not trusted.keys and not trusted.authorities:
        return HostKeyMismatch(
            f"{seen}, and {trusted.source} has no entry for it.",
            hint="Compare the fingerprint with the host's own, then connect once with ssh to store it.",
        )
    if trusted.keys:
        return HostKeyMismatch(f"{seen}, but {trusted.source} trust only {', '.join(trusted.fingerprints)}.")
    authorities = ", ".join(key.get_fingerprint() for key in trusted.authorities)
    return HostKeyMismatch(
        f"{seen}, but {trusted.source} trusts only host certificates of the authority {authorities}.",
        hint="Give the host a certificate of that authority (HostCertificate in sshd_config), or correct hostKey.",
    )


def _bad_certificate(place: str, host: str, detail: str) -> HostKeyMismatch:
    """The authority is trusted, its certificate does not hold."""
    for sign, what in (
        ("expired", "that has expired"),
        ("not yet valid", "that is not valid yet"),
        ("principal", f"that is made out to other names than {host}"),
        ("type", "that is no host certificate but a user's"),
    ):
        if sign in detail:
            return HostKeyMismatch(
                f"{place} presented a certificate {what}.",
                hint=f"Sign the host's key anew (ssh-keygen -s CA -h -n {host} -V +52w), or check the clock.",
            )
    return HostKeyMismatch(f"{place} presented a host key that can't be trusted: {quoted(detail)}.")


def not_forwarded(place: str, via: str, error: asyncssh.ChannelOpenError) -> HostUnreachable:
    """A jump host would not, or could not, connect to the next server."""
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return HostUnreachable(
            f"{via} does not allow connections to {place} to be forwarded: {quoted(error.reason)}.",
            hint="Allow it in the jump host's sshd_config: AllowTcpForwarding, DisableForwarding, PermitOpen.",
        )
    return HostUnreachable(
        f"{place} can't be reached from the {via}: {quoted(error.reason)}.",
        hint="Check that the host is up, and that its address and port are right as seen from the jump host.",
    )


def from_asyncssh(place: str, error: asyncssh.Error, stage: Stage) -> LinkError:
    """A failure of the SSH protocol, other than a refused host key or login."""
    if "authentication failures" in error.reason.lower():
        return AuthenticationFailed(
            f"{place} cut the login off: {quoted(error.reason)}.",
            hint="Offer fewer keys (an agent may hold many: IdentitiesOnly helps), or the right one first.",
        )
    if isinstance(error, asyncssh.KeyExchangeFailed):
        return ProtocolFailure(
            f"{place} shares no algorithm with us: {quoted(error.reason)}.",
            hint="Update the SSH server, or enable current algorithms in its configuration.",
        )
    if isinstance(error, asyncssh.ConnectionLost):
        return _closed(place, stage, "closed")
    if isinstance(error, asyncssh.IllegalUserName):
        return CredentialsInvalid(
            f"The user name can't be used: {quoted(error.reason)}.", hint="Correct spec.username."
        )
    return ProtocolFailure(f"{place} does not speak SSH as expected: {quoted(error.reason)}.")


def _closed(place: str, stage: Stage, how: str) -> HostUnreachable:
    if stage is Stage.LOGIN:
        return HostUnreachable(
            f"{place} {how} the connection during the login.",
            hint="The host's sshd log says why (MaxAuthTries, LoginGraceTime, fail2ban, a restart).",
        )
    return HostUnreachable(
        f"{place} {how} the connection before its SSH greeting.",
        hint="The server may have too many logins under way (MaxStartups in sshd_config) or block this address "
        "(PerSourcePenalties, fail2ban, a firewall); or the port belongs to something else than sshd.",
    )


def from_os(place: str, error: OSError, stage: Stage) -> HostUnreachable:
    """A failure below SSH."""
    if isinstance(error, socket.gaierror):
        return HostUnreachable(
            f"The host name of {place} can't be resolved: {error.strerror}.",
            hint="Check the address, and the DNS of where Fairlead runs.",
        )
    if isinstance(error, ConnectionRefusedError) or "Connect call failed" in str(error):
        return HostUnreachable(
            f"{place} refused the connection: nothing listens on that port.",
            hint="Check the port and that sshd runs on the host.",
        )
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return HostUnreachable(f"There is no route to {place}: {error.strerror}.")
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return _closed(place, stage, "reset")
    return HostUnreachable(f"{place} can't be reached: {error.strerror or error}.")
