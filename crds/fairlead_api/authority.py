"""SSHCertificateAuthority: who signs the short-lived certificates with which hosts are logged in to."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import AwareDatetime, Field

from fairlead_api.auth import KeyAlgorithm
from fairlead_api.base import API_VERSION, ApiModel, Cel, ListType, ObservedModel
from fairlead_api.meta import Condition, ObjectMeta
from fairlead_api.strings import ObjectName
from fairlead_api.unions import TypedUnion

MAX_LISTED = 1000
"""How many certificates, and how many revoked serials, the status lists."""


class AuthorityType(StrEnum):
    """Where the authority's key comes from."""

    GENERATED = "Generated"
    SECRET = "Secret"  # noqa: S105 a kind of object, no password


class GeneratedAuthority(ApiModel):
    """A key that Fairlead generates; it stays in the Secret `sshca-<name>.key`, also when the object is deleted."""

    algorithm: Annotated[
        KeyAlgorithm,
        Field(
            description="Ed25519, or RSA (4096 bits) for servers that know nothing newer. A change counts for the next"
            " key that is made: ask for one with the annotation fairlead.dev/rotate."
        ),
    ] = KeyAlgorithm.ED25519


class SecretAuthority(ApiModel):
    """A key in a Secret of the same namespace, which Fairlead only reads."""

    name: Annotated[
        ObjectName,
        Field(
            description="Name of the Secret. Keys that are read: `ssh-privatekey` with `passphrase` where needed; and"
            " `next-ssh-privatekey` with `next-passphrase`: the key that is to replace it."
        ),
        # Hosts that follow the other authority's list would never hear of what this one revokes.
        Cel(
            "!(self.startsWith('sshca-') && self.endsWith('.key'))",
            "names the generated key of another SSHCertificateAuthority: use that authority itself",
        ),
    ]


Serial = Annotated[int, Field(ge=1)]
"""Of a certificate. JSON has no room for the upper half of the 64 bits that certificates have for it."""


class SSHCertificateAuthoritySpec(TypedUnion):
    """What should be: `type`, the member of that name, and what is revoked."""

    type: Annotated[AuthorityType, Field(description="Where the authority's key comes from.")]
    generated: Annotated[
        GeneratedAuthority | None,
        Field(description="With type Generated: a new key, made once. May be left out."),
    ] = None
    secret: Annotated[SecretAuthority | None, Field(description="With type Secret: your own key.")] = None
    revoked_serials: Annotated[
        tuple[Serial, ...] | None,
        Field(
            min_length=1,
            max_length=MAX_LISTED,
            description="Serials of certificates that the key revocation list refuses, besides those of hosts that were"
            " deleted, suspended or given new credentials, which it has by itself. Absent: none.",
        ),
        ListType("set"),
    ] = None


class AuthorityState(StrEnum):
    """What an authority's key is used for."""

    ACTIVE = "Active"
    NEXT = "Next"


class AuthorityKey(ObservedModel):
    """One key that signs."""

    fingerprint: Annotated[str, Field(max_length=128, description="`SHA256:...` of the public key.")]
    public_key: Annotated[str, Field(max_length=4096, description="The public key, in OpenSSH's one-line format.")]
    state: Annotated[
        AuthorityState,
        Field(
            description="Active: it signs what hosts log in with. Next: it signs their second certificate, and becomes"
            " Active once every host has accepted one."
        ),
    ]


class CertificateInForce(ObservedModel):
    """A certificate that is neither over nor revoked."""

    serial: Annotated[int, Field(ge=0, description="Its serial, as audit lines and the host's own log show it.")]
    host: Annotated[str, Field(max_length=253, description="The RemoteHost that logs in with it.")]
    expiration_time: Annotated[AwareDatetime, Field(description="When it is over.")]


class KeyRevocationList(ObservedModel):
    """Where the list of what is revoked is published."""

    config_map_name: Annotated[
        str,
        Field(
            max_length=253,
            description="Name of the ConfigMap; its key `krl` holds the list in OpenSSH's format, for RevokedKeys in"
            " the host's sshd_config.",
        ),
    ]


class SSHCertificateAuthorityStatus(ObservedModel):
    """What the operator found out."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="The `metadata.generation` that this status belongs to.")
    ] = None
    conditions: Annotated[
        tuple[Condition, ...], Field(max_length=16, description="Ready."), ListType("map", ("type",))
    ] = ()
    trusted_user_ca_keys: Annotated[
        str | None,
        Field(
            alias="trustedUserCAKeys",
            max_length=8192,
            description="The lines for the file that TrustedUserCAKeys in the hosts' sshd_config names: two while a"
            " rotation is under way, else one.",
        ),
    ] = None
    authorities: Annotated[
        tuple[AuthorityKey, ...],
        Field(max_length=2, description="The keys that sign at present."),
        ListType("map", ("fingerprint",)),
    ] = ()
    certificates: Annotated[
        tuple[CertificateInForce, ...],
        # Atomic: as a map, each entry would cost managedFields as much again.
        Field(max_length=MAX_LISTED, description=f"The certificates in force, the newest {MAX_LISTED} at most."),
        ListType("atomic"),
    ] = ()
    certificate_count: Annotated[int | None, Field(ge=0, description="How many certificates are in force.")] = None
    revoked_serials: Annotated[
        tuple[Annotated[int, Field(ge=0)], ...],
        Field(
            max_length=MAX_LISTED,
            description=f"The serials that the key revocation list refuses, the largest {MAX_LISTED} at most. Those of"
            " certificates that are over are left out after a while, except where spec.revokedSerials has them.",
        ),
        ListType("atomic"),
    ] = ()
    revoked_serial_count: Annotated[int | None, Field(ge=0, description="How many serials the list refuses.")] = None
    key_revocation_list: Annotated[
        KeyRevocationList | None, Field(description="Where the list of what is revoked is published.")
    ] = None


class SSHCertificateAuthority(ApiModel):
    """An SSH certificate authority: hosts that trust its public key are logged in to with short-lived certificates."""

    KIND: ClassVar[str] = "SSHCertificateAuthority"
    PLURAL: ClassVar[str] = "sshcertificateauthorities"

    api_version: Literal["fairlead.dev/v1alpha1"] = API_VERSION
    kind: Literal["SSHCertificateAuthority"] = "SSHCertificateAuthority"
    metadata: ObjectMeta
    spec: Annotated[SSHCertificateAuthoritySpec, Field(description="What should be.")]
    status: Annotated[SSHCertificateAuthorityStatus, Field(description="What is.")] = SSHCertificateAuthorityStatus()
