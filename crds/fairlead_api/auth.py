"""How Fairlead logs in."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel, ListType
from fairlead_api.networks import Cidr
from fairlead_api.quantities import DurationBetween
from fairlead_api.references import SecretAuth
from fairlead_api.strings import ObjectName
from fairlead_api.unions import TypedUnion


class AuthType(StrEnum):
    """Where the credentials come from."""

    SECRET = "Secret"  # noqa: S105 a kind of object, no password
    GENERATED = "Generated"
    CERTIFICATE = "Certificate"


class KeyAlgorithm(StrEnum):
    """The kind of a generated key."""

    ED25519 = "Ed25519"
    RSA = "RSA"


class DeletionPolicy(StrEnum):
    """What becomes of the generated key when the RemoteHost is deleted."""

    DELETE = "Delete"
    RETAIN = "Retain"


class GeneratedAuth(ApiModel):
    """A key pair that Fairlead generates; the private half stays in a Secret."""

    algorithm: Annotated[
        KeyAlgorithm,
        Field(
            description="Ed25519, or RSA (4096 bits) for servers that know nothing newer."
            " It can't be changed afterwards."
        ),
    ] = KeyAlgorithm.ED25519
    deletion_policy: Annotated[
        DeletionPolicy,
        Field(description="Delete: the key goes with the RemoteHost. Retain: its Secret stays and is used again."),
    ] = DeletionPolicy.DELETE


Principal = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Cel(
        "self.matches('^[A-Za-z0-9_][-A-Za-z0-9_.@:/+]*$')",
        "must be the name of an account or of a role: letters, digits and - _ . @ : / +, without spaces and commas",
    ),
]
"""A name in a certificate."""


class AuthorityRef(ApiModel):
    """An SSHCertificateAuthority of the same namespace."""

    name: Annotated[ObjectName, Field(description="Name of an SSHCertificateAuthority in the RemoteHost's namespace.")]


class CertificateAuth(ApiModel):
    """Short-lived certificates, each with a key of its own, renewed at half of their time."""

    authority_ref: Annotated[
        AuthorityRef,
        Field(
            description="Who signs. The host's sshd has to trust it: TrustedUserCAKeys with what the authority's"
            " status.trustedUserCAKeys holds."
        ),
    ]
    principals: Annotated[
        tuple[Principal, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Whom the certificate names. sshd wants the account's name among them, or one that its"
            " AuthorizedPrincipalsFile lists. Absent: the username alone.",
        ),
        ListType("set"),
    ] = None
    validity: Annotated[
        timedelta,
        DurationBetween("5m", "24h"),
        Field(
            description="How long a certificate is good for. While no operator works, logins go on for at least half"
            " of it; connections that are up outlast it."
        ),
    ] = timedelta(hours=1)
    source_addresses: Annotated[
        tuple[Cidr, ...] | None,
        Field(
            min_length=1,
            max_length=16,
            description="Networks from which the host takes the certificate: as it sees the cluster, or the last jump"
            " host. Absent: from anywhere.",
        ),
        ListType("set"),
    ] = None


def _algorithm(auth: str) -> str:
    """CEL for the algorithm of a generated key, also where the member is left out."""
    return f"(has({auth}.generated) ? {auth}.generated.algorithm : '{GeneratedAuth().algorithm}')"


class Auth(TypedUnion):
    """The credentials of the login: `type`, and the member of that name."""

    rules = (
        Cel(
            f"!(self.type == 'Generated' && oldSelf.type == 'Generated')"
            f" || {_algorithm('self')} == {_algorithm('oldSelf')}",
            "generated.algorithm can't be changed: delete the RemoteHost, and its key's Secret if that was retained,"
            " and create it anew",
        ),
    )

    type: Annotated[AuthType, Field(description="Where the credentials come from.")]
    secret: Annotated[SecretAuth | None, Field(description="With type Secret: your own credentials.")] = None
    generated: Annotated[
        GeneratedAuth | None,
        Field(
            description="With type Generated: a new key pair, whose public half appears in status.publicKey."
            " May be left out."
        ),
    ] = None
    certificate: Annotated[
        CertificateAuth | None, Field(description="With type Certificate: who signs, and what for.")
    ] = None


class SecretAuthType(StrEnum):
    """Where the credentials come from."""

    SECRET = "Secret"  # noqa: S105 a kind of object, no password


class OwnAuth(TypedUnion):
    """The credentials of a login to another server than the host: `type`, and the member of that name."""

    type: Annotated[SecretAuthType, Field(description="Where the credentials come from.")]
    secret: Annotated[SecretAuth | None, Field(description="With type Secret: your own credentials.")] = None
