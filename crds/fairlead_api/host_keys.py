"""How a host proves what it is."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.auth import DeletionPolicy
from fairlead_api.base import ApiModel, ListType, ObservedModel
from fairlead_api.strings import PublicKey
from fairlead_api.unions import TypedUnion


class HostKeyType(StrEnum):
    """How the host's key is verified."""

    PINNED = "Pinned"
    TRUST_ON_FIRST_USE = "TrustOnFirstUse"
    AUTHORITY = "Authority"


class PinnedKeys(ApiModel):
    """Public keys that are written down in the spec."""

    public_keys: Annotated[
        tuple[PublicKey, ...],
        Field(
            min_length=1,
            max_length=16,
            description="The host must present one of these keys. Each is a line as in /etc/ssh/ssh_host_*_key.pub"
            " on the host.",
        ),
        ListType("set"),
    ]


class AuthorityKeys(ApiModel):
    """Certificate authorities that sign the keys of hosts."""

    public_keys: Annotated[
        tuple[PublicKey, ...],
        Field(
            min_length=1,
            max_length=16,
            description="The host must present a host certificate that one of these keys has signed and that is made"
            " out to the host's address. Each is the authority's public key, as a line of `ssh-keygen`'s .pub file.",
        ),
        ListType("set"),
    ]


class TrustOnFirstUse(ApiModel):
    """The key that the host presents first is trusted from then on."""

    deletion_policy: Annotated[
        DeletionPolicy,
        Field(
            description="Delete: the pin goes with the RemoteHost. Retain: its Secret stays, and a RemoteHost of this"
            " name trusts the same key again."
        ),
    ] = DeletionPolicy.DELETE


class HostKey(TypedUnion):
    """The verification of the host: `type`, and the member of that name."""

    type: Annotated[HostKeyType, Field(description="How the host's key is verified.")]
    pinned: Annotated[PinnedKeys | None, Field(description="With type Pinned: the keys to trust.")] = None
    trust_on_first_use: Annotated[
        TrustOnFirstUse | None,
        Field(
            description="With type TrustOnFirstUse: the key that the host presents first appears in"
            " status.pinnedHostKey, and no other is trusted from then on. May be left out."
        ),
    ] = None
    authority: Annotated[
        AuthorityKeys | None, Field(description="With type Authority: who signs the keys to trust.")
    ] = None


class OwnHostKeyType(StrEnum):
    """How the key of a server is verified for which no pin can be kept."""

    PINNED = "Pinned"
    AUTHORITY = "Authority"


class OwnHostKey(TypedUnion):
    """The verification of another server than the host: `type`, and the member of that name."""

    type: Annotated[OwnHostKeyType, Field(description="How the server's key is verified.")]
    pinned: Annotated[PinnedKeys | None, Field(description="With type Pinned: the keys to trust.")] = None
    authority: Annotated[
        AuthorityKeys | None, Field(description="With type Authority: who signs the keys to trust.")
    ] = None


class RefusedHostKey(ObservedModel):
    """A key that did not match; nothing is connected until a person has decided."""

    fingerprint: Annotated[
        str,
        Field(max_length=128, description="`SHA256:...` of the key that was presented, or of what signed it."),
    ]
    public_key: Annotated[str, Field(max_length=8192, description="That key.")]
    message: Annotated[str, Field(max_length=4096, description="Which server presented it, and what was expected.")]
    trust: Annotated[
        str, Field(max_length=128, description="Digest of what it was judged by; the refusal ends when that changes.")
    ]
