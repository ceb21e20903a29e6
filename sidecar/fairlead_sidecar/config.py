"""The contract between operator and sidecar: what the operator writes and the sidecar reads and re-reads.

`fairlead serve` builds the same object from its flags. Nothing here holds a secret in clear: tokens are hashes,
SSH credentials are paths.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

PUBLIC_PORT = 8080
"""The port that carries MCP; the only one an Ingress may route to."""
INTERNAL_PORT = 9090
"""The port of health, status and metrics; never routed from outside."""
END_PATH = "/end"
"""On that port, with the operator's credential: has a pod that leaves end at once."""
CONFIG_DIRECTORY = Path("/etc/fairlead/config")
CREDENTIALS_DIRECTORY = Path("/etc/fairlead/ssh")
JUMP_HOSTS_DIRECTORY = Path("/etc/fairlead/jump-hosts")
"""Below it one directory for each jump host, named by its place in the chain: `0`, `1`, …"""
VALUES_DIRECTORY = Path("/etc/fairlead/values")
"""Below it one directory for each Secret that variables, redaction and the sudo password name, and in it one file for
each key."""
MCP_SERVERS_DIRECTORY = Path("/etc/fairlead/mcp-servers")
"""Below it one directory for each upstream server of type SSH, named like the server: its credentials."""
SPOOL_DIRECTORY = Path("/var/spool/fairlead")
"""An emptyDir for the output of commands that is too long for a result."""
WELL_KNOWN = "/.well-known/"
WELL_KNOWN_DOCUMENTS = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")
"""What clients ask for there, before the endpoint's path, to learn how to log in: it is routed to the pod, too."""
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
    SUDO = "Sudo"
    """Beside Execute: run commands as another account."""
    CALL = "Call"
    """Use the MCP servers that live on the host: their tools, prompts and resources."""


class Target(Model):
    """The SSH server to log in to."""

    address: str
    port: int = 22
    username: str


class SecretFiles(Model):
    """SSH credentials mounted from a Secret, one file a key, re-read at every login.

    Known files: `ssh-privatekey`, `passphrase`, `ssh-certificate`, `password`, `totp-secret`; and `next-ssh-privatekey`
    with `next-ssh-certificate`, which are offered before the others: the successors that the host may not know yet.
    """

    type: Literal["SecretFiles"] = "SecretFiles"
    directory: Path = CREDENTIALS_DIRECTORY
    secret_name: str
    """What error messages call the place to mend."""
    refusal_hint: str = ""
    """What to do where the server refuses these credentials; empty: put others into the Secret."""


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


class AuthorityHostKeys(Model):
    """The host must present a host certificate of one of these authorities, made out to its address."""

    type: Literal["Authority"] = "Authority"
    public_keys: Annotated[tuple[str, ...], Field(min_length=1)]
    """Public keys of the authorities (OpenSSH one-line format)."""


class FirstUseHostKey(Model):
    """No key of the host is known yet: the login ends once the host has shown one, which `/statusz` then reports.

    Whoever writes the configuration puts a pin in its place; only then anything is sent to the host.
    """

    type: Literal["FirstUse"] = "FirstUse"


class HostKeyRefusal(Model):
    """A host key that did not match: nothing is connected any more, until what it was judged by is changed."""

    public_key: str
    """The key that was presented, or that of the authority behind its certificate (OpenSSH one-line format).
    Empty where it is too long for any real one."""
    message: str
    """Who presented what, and what was expected."""
    trust: str
    """`trust_digest` of the configuration in force then: with another one the refusal no longer holds."""


class JumpHost(Model):
    """A server on the way to the target; the first one is logged in to from here, each next one through the last."""

    target: Target
    auth: SecretFiles
    host_key: Annotated[PinnedHostKeys | AuthorityHostKeys, Field(discriminator="type")]


class SecretValue(Model):
    """A value mounted from a Secret, read again whenever it is used."""

    file: Path
    name: str
    """What messages call it: `<secret>/<key>`."""


class Variable(Model):
    """A variable of every command's environment: exactly one of `value` and `secret`."""

    name: str
    value: str | None = None
    secret: SecretValue | None = None


class Environment(Model):
    """Where commands start, and the variables they find beside those of the account's login shell."""

    working_directory: str | None = None
    """Absolute; None: the account's home."""
    variables: tuple[Variable, ...] = ()


class Connection(Model):
    """How the SSH connections are made and watched; times in seconds."""

    connect_timeout: float = 10.0
    keepalive_interval: float = 15.0
    keepalive_count_max: int = 3
    max_connections: int = 16


class CommandPolicy(Model):
    """RE2 patterns searched in a command line; deny wins; `allow` None restricts nothing."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


class PathPolicy(Model):
    """Absolute directories below which files may be read or written; None restricts nothing."""

    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None


class Sudo(Model):
    """Whether and as whom commands may run with sudo."""

    type: Literal["Never", "Passwordless", "Password"] = "Never"
    password: SecretValue | None = None
    """With Password: the password that sudo asks the account for."""
    users: tuple[str, ...] = ("root",)
    """Accounts that commands may run as."""


class Parameter(Model):
    """One typed parameter of a named command."""

    type: Literal["String", "Integer", "Boolean"] = "String"
    description: str = ""
    pattern: str | None = None
    """String: RE2 that must match the whole value. A value may begin with `-` only where this does; None: any other."""
    enum: tuple[str, ...] | None = None
    """String: the values that are accepted."""
    minimum: int | None = None
    """Integer."""
    maximum: int | None = None
    """Integer."""
    default: str | None = None
    """The value of a parameter that is left out, in the spelling of the command line; None: it is required."""


class NamedCommand(Model):
    """A command that the host's owner wrote, offered as a tool of its own; it runs without any shell."""

    name: str
    """The tool is called `run_<name>`."""
    description: str = ""
    argv: Annotated[tuple[str, ...], Field(min_length=1)]
    """Words; `{parameter}` in a word stands for the parameter's value, `{{` and `}}` for braces."""
    parameters: dict[str, Parameter] = {}
    working_directory: str | None = None
    user: str | None = None
    """The account to run it as with sudo, which `Sudo` must allow; None: the login account."""
    timeout: float | None = None
    """Seconds; None: `Limits.command_timeout`."""
    read_only: bool = False
    """It changes nothing on the host, so it is offered on a read-only host too."""


class Confirmation(Model):
    """Command lines that a person must agree to each time; the client asks them (MCP elicitation)."""

    pattern: str
    """RE2 that is searched in the command line."""
    mode: Literal["Elicit"] = "Elicit"


class Policy(Model):
    """What may be done on the host, whoever asks."""

    read_only: bool = False
    """Only tools that change nothing on the host are offered."""
    commands: CommandPolicy = CommandPolicy()
    """Binds free command lines and scripts, not the named commands."""
    named_commands: tuple[NamedCommand, ...] = ()
    paths: PathPolicy = PathPolicy()
    sudo: Sudo = Sudo()
    confirm: tuple[Confirmation, ...] = ()
    redact: tuple[SecretValue, ...] = ()
    """Values that are blotted out of everything that agents get."""


class Limits(Model):
    """Bounds of one call; times in seconds."""

    command_timeout: float = 300.0
    idle_timeout: float | None = None
    """A command that writes nothing for so long is killed; None: silence is no reason."""
    foreground_timeout: float = 50.0
    """A call whose command still runs after so long returns an id, and the command goes on."""
    output_bytes: int = 1024 * 1024
    """Bytes of stdout and of stderr that one result carries at most, each."""
    disconnect_grace: float = 60.0
    """How long a command goes on whose client lost its connection (handshake protocols) before it is killed."""
    concurrent_commands: int | None = None
    """Commands of all tokens that may run at a time; None: as many as the SSH connections carry."""
    requests_per_minute: int | None = None
    """MCP requests that one token may make within any minute; None: any number."""
    commands_per_hour: int | None = None
    """Commands that one token may start within any hour; None: any number."""


class StdioServer(Model):
    """An MCP server that is started on the host and speaks on its standard input and output."""

    type: Literal["Stdio"] = "Stdio"
    command: str
    """The program, found as in the account's login shell; no shell parses it."""
    args: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    """Beside those of the login shell and of `Environment`; never part of an argument list."""
    working_directory: str | None = None
    """Absolute; None: that of `Environment`, or the account's home."""


class Header(Model):
    """A header of every HTTP request: exactly one of `value` and `secret`."""

    name: str
    value: str | None = None
    secret: SecretValue | None = None


class HttpServer(Model):
    """An MCP server that listens on HTTP where the host can reach it; the connection goes through the SSH link."""

    type: Literal["HTTP"] = "HTTP"
    url: str
    """`http` or `https`, as seen from the host: `http://127.0.0.1:8080/mcp`."""
    transport: Literal["StreamableHTTP", "SSE"] = "StreamableHTTP"
    headers: tuple[Header, ...] = ()


class KeyServer(Model):
    """A key server, as m2m-mcp-server-ssh-server has one: it tells the server's host key and takes our public key.

    It is asked through the SSH link, so its answer is as trustworthy as the host.
    """

    type: Literal["KeyServer"] = "KeyServer"
    url: str
    """Its root, as seen from the host: `http://127.0.0.1:8000`."""


class SshServer(Model):
    """An SSH server that speaks MCP on the standard input and output of its session; reached through the SSH link."""

    type: Literal["SSH"] = "SSH"
    target: Target
    """The address as seen from the host."""
    auth: SecretFiles
    host_key: Annotated[PinnedHostKeys | AuthorityHostKeys | KeyServer, Field(discriminator="type")]
    command: str | None = None
    """What to ask the server to execute; None: its shell, which is what an MCP-only server offers."""


class McpServer(Model):
    """An MCP server that lives on the host, or that the host can reach (an upstream server)."""

    name: str
    """Lower-case letters, digits and `-`; tools are called `<name>__<tool>`."""
    isolation: Literal["Shared", "PerSession"] = "Shared"
    """Shared: one session with it for all clients. PerSession: one for each client session (handshake protocols) or
    token (modern protocol), for servers that keep state."""
    start_timeout: float = 30.0
    """Seconds from the start to the end of the MCP handshake."""
    server: Annotated[StdioServer | HttpServer | SshServer, Field(discriminator="type")]


class ToolSelection(Model):
    """Which tools a token sees: names with `*` and `?` as wildcards; deny wins; `allow` None restricts nothing."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()


class TokenGrant(Model):
    """One bearer token: its hash and what it may do. Expiry is enforced by the sidecar's own clock."""

    id: str
    uid: str
    """UID of the McpToken: handles and streams belong to it."""
    subject: str
    secret_sha256: str | None
    """Hex SHA-256 of the whole token string. The token holds 256 random bits, so a plain hash is enough. None: the
    token is a JWT whose `jti` is `id`, judged by its signature and `JwtTrust`."""
    permissions: frozenset[Permission]
    tools: ToolSelection = ToolSelection()
    """Binds all tools, the host's own and those of upstream servers."""
    source_cidrs: tuple[str, ...] | None = None
    """Networks that the client's address must be in; None: any address."""
    rate_percent: int = 100
    """Of the host's `requests_per_minute` and `commands_per_hour`."""
    expires_at: AwareDatetime | None = None

    @property
    def key(self) -> str:
        """What calls and streams under this token go by: two tokens never have the same."""
        return self.secret_sha256 or f"jti {self.id}"

    def expired(self, now: datetime) -> bool:
        """Whether the token's time is over at `now` (timezone-aware)."""
        return self.expires_at is not None and now >= self.expires_at


class JwtTrust(Model):
    """How tokens of the format JWT are judged (RFC 7519): signature with EdDSA, `iss`, `aud`, `exp`, `nbf`."""

    issuer: str
    audiences: Annotated[tuple[str, ...], Field(min_length=1)]
    """URLs of this endpoint; a token's `aud` must hold one of them."""
    keys: tuple[dict[str, str], ...]
    """Public keys as JSON Web Keys (RFC 7517, RFC 8037: `kty` OKP, `crv` Ed25519), told apart by `kid`."""


class Endpoint(Model):
    """Where the MCP endpoint is served: MCP answers at `<path>/mcp`."""

    path: str = ""
    """URL path without the trailing slash; empty for the root."""
    public_url: str | None = None
    """The URL that agents use, where it is known."""
    allowed_hosts: tuple[str, ...] | None = None
    """Host headers that are answered (DNS rebinding protection); None: any."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of proxies whose `X-Forwarded-For` is believed; of others the connection's own address counts."""


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
    jump_hosts: tuple[JumpHost, ...] = ()
    """In the order in which they are passed; empty: the target is reached directly (or as ~/.ssh/config says)."""
    credentials_version: str = ""
    """Changes whenever the credentials or mounted values do, so that the digest proves that the new ones arrived."""
    host_key: Annotated[PinnedHostKeys | AuthorityHostKeys | KnownHosts | FirstUseHostKey, Field(discriminator="type")]
    host_key_acceptance: str = ""
    """What a person decided about a host key that did not match; another value ends the refusal to connect."""
    host_key_refusal: HostKeyRefusal | None = None
    """A mismatch that no person has decided about yet, as this process or one before it has reported it."""
    connection: Connection = Connection()
    environment: Environment = Environment()
    groups: frozenset[ToolGroup] = frozenset(ToolGroup)
    policy: Policy = Policy()
    limits: Limits = Limits()
    mcp_servers: tuple[McpServer, ...] = ()
    """In the order in which they are listed to agents."""
    tokens: tuple[TokenGrant, ...] = ()
    jwt: JwtTrust | None = None
    """None: no token of the format JWT is accepted."""
    probe_sha256: str | None = None
    """Hex SHA-256 of the operator's probe token, which may only initialize, discover and list."""
    spool_directory: Path | None = None
    """Where the output of commands is kept that is too long for a result; None: a directory of its own, in $TMPDIR."""
    drain_timeout: float = 0.0
    """Seconds that calls under way may still take once the process was told to stop; then they are cancelled.

    It belongs to the pod's grace period, so the process goes by its first configuration.
    """

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


def trust_digest(config: SidecarConfig) -> str:
    """What changes with the servers on the way, what their host keys are judged by, and what a person accepted."""
    servers = [(hop.target, hop.host_key) for hop in config.jump_hosts]
    return trust_of([*servers, (config.target, config.host_key)], config.host_key_acceptance)


def trust_of(servers: Iterable[tuple[Target, Model]], acceptance: str) -> str:
    """`trust_digest`, of the servers with what their host keys are judged by."""
    judged = [(target.address, target.port, trust.model_dump_json()) for target, trust in servers]
    return digest(json.dumps([judged, acceptance]))


def digest(text: str | bytes) -> str:
    """The digest that `/statusz` reports for a configuration file: hex SHA-256 of its bytes."""
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()
