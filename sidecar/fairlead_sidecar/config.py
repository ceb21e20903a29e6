"""The contract between operator and sidecar: what the operator writes and the sidecar reads and re-reads.

`fairlead serve` builds the same object from its flags. Nothing here holds a secret in clear: tokens are hashes,
SSH credentials are paths.
"""

import hashlib
import json
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

PUBLIC_PORT = 8080
"""The port that carries MCP; the only one an Ingress may route to."""
INTERNAL_PORT = 9090
"""The port of health, status and metrics; never routed from outside."""
CONFIG_DIRECTORY = Path("/etc/fairlead/config")
CREDENTIALS_DIRECTORY = Path("/etc/fairlead/ssh")
CONFIG_KEY = "config.json"


class Model(BaseModel):
    """Immutable and strict: a field that this version does not know is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolGroup(StrEnum):
    """The groups of tools a host offers; connection tools are always there."""

    EXECUTE = "Execute"
    FILES = "Files"


class Permission(StrEnum):
    """What a token may do; each tool needs exactly one of these."""

    VIEW = "View"
    READ = "Read"
    EXECUTE = "Execute"
    WRITE = "Write"


class Target(Model):
    """The SSH server to log in to."""

    address: str
    port: int = 22
    username: str


class SecretFiles(Model):
    """SSH credentials mounted from a Secret, one file a key, re-read at every login.

    Known files: `ssh-privatekey`, `passphrase`, `ssh-certificate`, `password`.
    """

    type: Literal["SecretFiles"] = "SecretFiles"
    directory: Path = CREDENTIALS_DIRECTORY
    secret_name: str
    """What error messages call the place to mend."""


class LocalAccount(Model):
    """The credentials of the person who runs `fairlead serve`, found as `ssh` finds them."""

    type: Literal["LocalAccount"] = "LocalAccount"
    ssh_config: Path | None = None
    """None: `~/.ssh/config` where it exists."""
    identity_files: tuple[Path, ...] = ()
    """Further private keys, as with `ssh -i`; empty: the usual ones and the agent."""


class PinnedHostKeys(Model):
    """The host must present one of these public keys (OpenSSH one-line format)."""

    type: Literal["Pinned"] = "Pinned"
    public_keys: Annotated[tuple[str, ...], Field(min_length=1)]


class KnownHosts(Model):
    """The host must be in a `known_hosts` file, as for `ssh` with StrictHostKeyChecking=yes."""

    type: Literal["KnownHosts"] = "KnownHosts"
    file: Path | None = None
    """None: `~/.ssh/known_hosts`."""


class Connection(Model):
    """How the SSH connections are made and watched; times in seconds."""

    connect_timeout: float = 10.0
    keepalive_interval: float = 15.0
    keepalive_count_max: int = 3
    max_connections: int = 4


class CommandPolicy(Model):
    """RE2 patterns searched in a command line; deny wins; `allow` None restricts nothing."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


class PathPolicy(Model):
    """Absolute directories below which files may be read or written; None restricts nothing."""

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None


class Policy(Model):
    """What may be done on the host, whoever asks."""

    commands: CommandPolicy = CommandPolicy()
    paths: PathPolicy = PathPolicy()


class Limits(Model):
    """Bounds of one call."""

    command_timeout: float = 300.0
    """Seconds."""
    output_bytes: int = 1024 * 1024
    """Bytes of stdout and of stderr that one result carries at most, each."""


class TokenGrant(Model):
    """One bearer token: its hash and what it may do. Expiry is enforced by the sidecar's own clock."""

    id: str
    uid: str
    """UID of the McpToken: handles and streams belong to it."""
    subject: str
    secret_sha256: str
    """Hex SHA-256 of the whole token string. The token holds 256 random bits, so a plain hash is enough."""
    permissions: frozenset[Permission]
    expires_at: AwareDatetime | None = None

    def expired(self, now: datetime) -> bool:
        """Whether the token's time is over at `now` (timezone-aware)."""
        return self.expires_at is not None and now >= self.expires_at


class Endpoint(Model):
    """Where the MCP endpoint is served: MCP answers at `<path>/mcp`."""

    path: str = ""
    """URL path without the trailing slash; empty for the root."""
    public_url: str | None = None
    """The URL that agents use, where it is known."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host headers that are answered (DNS rebinding protection); None: any."""


class SidecarConfig(Model):
    """Everything a sidecar needs to know."""

    instance: str
    """UID of the RemoteHost; the public 401 carries it so that the operator recognises its own endpoint."""
    generation: int = 0
    """The RemoteHost's generation this was rendered from."""
    namespace: str
    name: str
    description: str = ""
    endpoint: Endpoint = Endpoint()
    target: Target
    auth: Annotated[SecretFiles | LocalAccount, Field(discriminator="type")]
    credentials_version: str = ""
    """Changes whenever the credentials do, so that the digest proves that the new ones arrived."""
    host_key: Annotated[PinnedHostKeys | KnownHosts, Field(discriminator="type")]
    connection: Connection = Connection()
    groups: frozenset[ToolGroup] = frozenset(ToolGroup)
    policy: Policy = Policy()
    limits: Limits = Limits()
    tokens: tuple[TokenGrant, ...] = ()
    probe_sha256: str | None = None
    """Hex SHA-256 of the operator's probe token, which may only initialize, discover and list."""

    def render(self) -> str:
        """The file's content: JSON with sorted keys, the same text for equal configurations."""
        # Sets have no order of their own: sort them so that an unchanged state renders to unchanged bytes.
        data = self.model_dump(mode="json")
        data["groups"] = sorted(data["groups"])
        for token in data["tokens"]:
            token["permissions"] = sorted(token["permissions"])
        return json.dumps(data, sort_keys=True, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str | bytes) -> Self:
        """Read a rendered file.

        Raises:
            pydantic.ValidationError: It does not fit this version of the contract.
        """
        return cls.model_validate_json(text)


def digest(text: str | bytes) -> str:
    """The digest that `/statusz` reports for a configuration file: hex SHA-256 of its bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
