"""What the sidecar tells the operator at `/statusz` on the internal port.

`GET /statusz` answers at once. `GET /statusz?after=V&timeout=S` answers when `version` differs from V, or after S
seconds with what holds then (long poll; S at most 60).
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import AwareDatetime, Field

from fairlead_sidecar.config import HostKeyRefusal, Model


class LinkState(StrEnum):
    """Where the SSH link stands."""

    CONNECTING = "Connecting"
    CONNECTED = "Connected"
    FAILED = "Failed"
    """The last try failed (another one follows with back-off); `reason` and `message` say why."""


class LinkStatus(Model):
    """The SSH link, in the words of the conditions."""

    state: LinkState
    reason: str
    """`Connecting`, `Connected`, or an error's reason from `fairlead_sidecar.errors`: `Unreachable`, …"""
    message: str
    """A sentence for people: what is wrong and what to do."""
    host_key_fingerprint: str | None = None
    """`SHA256:…` of the key the server presented last, trusted or not."""
    host_key: str | None = None
    """The public key behind that fingerprint, in OpenSSH's one-line format without a comment."""
    host_key_refusal: HostKeyRefusal | None = None
    """Why nothing is connected until a person has decided; None: nothing of the kind."""
    login_key_fingerprint: str | None = None
    """`SHA256:…` of the public key (or the certified key) that the newest login succeeded with; None: another way."""
    certificate_serial: int | None = None
    """Of the user certificate that the newest login succeeded with; None: without one."""
    server_version: str | None = None
    """The server's identification, e.g. `SSH-2.0-OpenSSH_9.2p1`."""
    since: AwareDatetime
    """When this state and reason began."""


class McpServerStatus(Model):
    """One upstream server, in the words of its condition."""

    name: str
    ready: bool
    reason: str
    """`Ready`, `Starting`, or the reason of an `UpstreamError` of `fairlead_sidecar.errors`: `CommandNotFound`, …"""
    message: str
    """A sentence for people: what is wrong and what to do."""
    server_name: str | None = None
    """What the server calls itself, with its version, as told in the MCP handshake; None before that."""
    server_version: str | None = None
    protocol_version: str | None = None
    """The MCP version in use with it."""
    tool_count: int = 0
    since: AwareDatetime
    """When this state and reason began."""


class Statusz(Model):
    """One snapshot."""

    version: str
    """Opaque; differs after every change, also across restarts of the process."""
    config_digest: str | None
    """Digest of the configuration in force; None before the first one and while its policy can't be used."""
    config_error: str | None = None
    """Why a newer configuration file was refused, while the one in force goes on; or what is wrong with the policy of
    the one in force, so that all commands and files are denied."""
    link: LinkStatus
    missing_values: tuple[str, ...] = ()
    """Mounted values that the configuration names and that are not there, as `<secret>/<key>`."""
    last_used: Mapping[str, AwareDatetime] = Field(default_factory=dict)
    """UID of an McpToken -> the hour in which it was used last (its beginning, UTC), as far as this process knows."""
    tool_count: int
    mcp_servers: tuple[McpServerStatus, ...] = ()
    """In the order of the configuration."""
