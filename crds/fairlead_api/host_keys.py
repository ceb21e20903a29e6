"""How a host proves what it is."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, ListType
from fairlead_api.strings import PublicKey
from fairlead_api.unions import TypedUnion


class HostKeyType(StrEnum):
    """How the host's key is verified."""

    PINNED = "Pinned"
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


class HostKey(TypedUnion):
    """The verification of the host: `type`, and the member of that name."""

    type: Annotated[HostKeyType, Field(description="How the host's key is verified.")]
    pinned: Annotated[PinnedKeys | None, Field(description="With type Pinned: the keys to trust.")] = None
    authority: Annotated[
        AuthorityKeys | None, Field(description="With type Authority: who signs the keys to trust.")
    ] = None
