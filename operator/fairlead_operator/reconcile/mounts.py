"""Which Secrets a host's pod mounts, and which of their keys."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from fairlead_api.references import SecretKeyRef
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.jumps import Hop
from fairlead_operator.reconcile.names import credentials_secret_name, is_authority_key
from fairlead_sidecar.config import VALUES_DIRECTORY, SecretValue

CREDENTIAL_KEYS = (
    "ssh-privatekey",
    "passphrase",
    "ssh-certificate",
    "password",
    "totp-secret",
    "next-ssh-privatekey",
    "next-ssh-certificate",
)
"""What is mounted of a Secret with credentials; whatever else it holds stays out of the pod."""


@dataclass(frozen=True)
class Mounted:
    """A Secret that the pod mounts."""

    name: str
    use: str
    """What it is for, as messages say it."""


def secret_value(reference: SecretKeyRef) -> SecretValue:
    """Where the sidecar finds the value that a reference stands for."""
    return SecretValue(file=VALUES_DIRECTORY / reference.name / reference.key, name=f"{reference.name}/{reference.key}")


_FOR_EVERY_CALL = ("spec.environment", "spec.policy.redact")


def _value_references(spec: RemoteHostSpec) -> Iterator[tuple[str, SecretKeyRef]]:
    """The keys of Secrets that variables, headers, the sudo password and redaction name, each with the field."""
    for variable in spec.environment.variables or ():
        if variable.value_from is not None:
            yield "spec.environment", variable.value_from.secret_key_ref
    for server in spec.mcp_servers or ():
        for variable in (server.stdio.env if server.stdio else None) or ():
            if variable.value_from is not None:
                yield f"the MCP server {server.name}", variable.value_from.secret_key_ref
        for header in (server.http.headers if server.http else None) or ():
            if header.value_from is not None:
                yield f"the MCP server {server.name}", header.value_from.secret_key_ref
    if spec.policy is None:
        return
    if spec.policy.sudo is not None and spec.policy.sudo.password_secret_ref is not None:
        yield "spec.policy.sudo", spec.policy.sudo.password_secret_ref
    for redacted in spec.policy.redact or ():
        yield "spec.policy.redact", redacted.secret_key_ref


def value_keys(spec: RemoteHostSpec) -> Mapping[str, list[str]]:
    """Secret -> the keys of it that are mounted as values, in a fixed order."""
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for _, reference in _value_references(spec):
        keys[reference.name].add(reference.key)
    return {name: sorted(keys[name]) for name in sorted(keys)}


def needed_by_every_call(spec: RemoteHostSpec) -> frozenset[str]:
    """The values (`<secret>/<key>`) without which no command runs: those of its variables and of what is masked."""
    references = _value_references(spec)
    return frozenset(secret_value(reference).name for field, reference in references if field in _FOR_EVERY_CALL)


def _value_uses(spec: RemoteHostSpec) -> Mapping[str, str]:
    """Secret -> what values of it are for, in words for people."""
    uses: defaultdict[str, dict[str, None]] = defaultdict(dict)
    for field, reference in _value_references(spec):
        uses[reference.name][f"{reference.key} for {field}"] = None
    return {name: ", ".join(uses[name]) for name in sorted(uses)}


def mcp_server_secrets(spec: RemoteHostSpec) -> Mapping[str, str]:
    """MCP server of type SSH -> the Secret with the credentials of the login there."""
    return {
        server.name: server.ssh.auth.secret.name
        for server in spec.mcp_servers or ()
        if server.ssh is not None and server.ssh.auth.secret is not None
    }


def mounted(host: str, spec: RemoteHostSpec, hops: Iterable[Hop]) -> list[Mounted]:
    """The Secrets that a host's pod mounts besides its configuration; the one with its own credentials comes first."""
    found = [Mounted(credentials_secret_name(host, spec), "spec.auth")]
    found += [Mounted(hop.secret, f"the jump host {hop.name}") for hop in hops]
    found += [Mounted(secret, f"the MCP server {name}") for name, secret in mcp_server_secrets(spec).items()]
    found += [Mounted(name, f"with the key {use}") for name, use in _value_uses(spec).items()]
    return found


def direct_secrets(host: str, spec: RemoteHostSpec) -> frozenset[str]:
    """The Secrets that a spec names itself, those of its inline jump hosts and MCP servers included."""
    inline = {jump.auth.secret.name for jump in spec.jump_hosts or () if jump.auth and jump.auth.secret}
    servers = mcp_server_secrets(spec).values()
    return frozenset({credentials_secret_name(host, spec), *inline, *servers, *value_keys(spec)})


def withheld(secrets: Iterable[Mounted], authority_keys: Collection[str], operator_keys: Collection[str] = ()) -> str:
    """Which of these Secrets no pod gets, in words for people; empty: none of them.

    Whoever has an authority's key can log in everywhere, unseen and for ever; whoever has the operator's can sign
    tokens for the hosts of all namespaces: that is more than any host needs.

    Args:
        secrets: What a host's pod would mount.
        authority_keys: Names of the Secrets in which users keep the keys of certificate authorities.
        operator_keys: Names of the operator's own Secrets in this namespace.
    """
    for some in secrets:
        what = ""
        if is_authority_key(some.name) or some.name in authority_keys:
            what = "the key of a certificate authority"
        elif some.name in operator_keys:
            what = "keys of the operator"
        if what:
            return f"The Secret {some.name!r} ({some.use}) holds {what}, which no pod gets: name another Secret."
    return ""
