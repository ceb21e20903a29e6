"""The names of what belongs to hosts, tokens and certificate authorities."""

from fairlead_api.auth import AuthType
from fairlead_api.mcptoken import McpTokenSpec
from fairlead_api.remotehost import RemoteHostSpec


def child_name(host: str) -> str:
    """A host's Deployment, Service, Ingress and configuration Secret."""
    return f"rh-{host}"


def generated_key_name(host: str) -> str:
    """The Secret that holds a host's generated key. Hosts' names have no dots, so it can't be another host's child."""
    return f"rh-{host}.key"


def host_key_name(host: str) -> str:
    """The Secret that holds the host key that was pinned when it was seen first."""
    return f"rh-{host}.host-key"


def certificate_name(host: str) -> str:
    """The Secret that holds a host's certificates and their keys.

    Not that of the generated key: whoever changes the type of the credentials, and back, finds the key again.
    """
    return f"rh-{host}.certificate"


def credentials_secret_name(host: str, spec: RemoteHostSpec) -> str:
    """The Secret that is mounted for the login."""
    if spec.auth.type is AuthType.SECRET and spec.auth.secret is not None:
        return spec.auth.secret.name
    if spec.auth.type is AuthType.CERTIFICATE:
        return certificate_name(host)
    return generated_key_name(host)


def token_secret_name(token: str, spec: McpTokenSpec) -> str:
    """The Secret that receives a token."""
    return spec.secret_name or f"mcpt-{token}"


def tls_secret_name(host: str) -> str:
    """The Secret that cert-manager fills for a host's Ingress, where nobody named another."""
    return f"rh-{host}.tls"


def authority_key_name(authority: str) -> str:
    """The Secret that holds an authority's generated key."""
    return f"sshca-{authority}.key"


def is_authority_key(secret: str) -> bool:
    """Whether a Secret of this name holds an authority's generated key, or would."""
    prefix, suffix = authority_key_name("/").split("/")
    return secret.startswith(prefix) and secret.endswith(suffix)


def revocation_list_name(authority: str) -> str:
    """The ConfigMap that publishes what of an authority is revoked."""
    return f"sshca-{authority}-krl"
