"""The servers on the way to a host."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.auth import OwnAuth
from fairlead_api.base import ApiModel, Cel
from fairlead_api.host_keys import OwnHostKey
from fairlead_api.strings import Address, HostName, Username

MAX_JUMP_HOSTS = 8
"""At most so many servers on the way, those of referenced hosts counted."""
_INLINE = ("address", "port", "username", "auth", "hostKey")
_NEEDED = ("username", "auth", "hostKey")


class HostRef(ApiModel):
    """Another RemoteHost."""

    name: Annotated[
        HostName, Field(description="Name of a RemoteHost of the same namespace; it may be suspended, too.")
    ]


class JumpHost(ApiModel):
    """A server that is passed on the way: either `hostRef`, or written out with `address` and the rest."""

    rules = (
        Cel(
            "has(self.hostRef) != has(self.address)",
            "name a RemoteHost with hostRef, or write the server out with address, username, auth and hostKey: exactly"
            " one of the two",
        ),
        Cel(
            "!has(self.hostRef) || !(" + " || ".join(f"has(self.{name})" for name in _INLINE) + ")",
            "hostRef takes everything from that RemoteHost: remove address, port, username, auth and hostKey",
        ),
        Cel(
            "!has(self.address) || (" + " && ".join(f"has(self.{name})" for name in _NEEDED) + ")",
            "a server that is written out needs username, auth and hostKey: add what is missing",
        ),
    )

    host_ref: Annotated[
        HostRef | None,
        Field(
            description="A RemoteHost to pass through, with its address, username, credentials and host key, and with"
            " its own jump hosts before it."
        ),
    ] = None
    address: Annotated[
        Address | None,
        Field(description="Host name or IP address of the SSH server, as seen from the server before it."),
    ] = None
    port: Annotated[int | None, Field(ge=1, le=65535, description="TCP port of the SSH server. Absent: 22.")] = None
    username: Annotated[Username | None, Field(description="The account to log in to.")] = None
    auth: Annotated[OwnAuth | None, Field(description="How to log in.")] = None
    host_key: Annotated[OwnHostKey | None, Field(description="How the server proves that it is the right one.")] = None

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        inline = (self.address, self.port, self.username, self.auth, self.host_key)
        if (self.host_ref is None) == (self.address is None):
            raise ValueError("exactly one of hostRef and address is needed")
        if self.host_ref is not None and any(field is not None for field in inline):
            raise ValueError("hostRef takes everything from that RemoteHost")
        if self.address is not None and None in (self.username, self.auth, self.host_key):
            raise ValueError("a server that is written out needs username, auth and hostKey")
        return self
