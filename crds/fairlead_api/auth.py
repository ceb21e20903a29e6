"""How Fairlead logs in."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel
from fairlead_api.references import SecretAuth
from fairlead_api.unions import TypedUnion


class AuthType(StrEnum):
    """Where the credentials come from."""

    SECRET = "Secret"  # noqa: S105 a kind of object, no password
    GENERATED = "Generated"


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


class SecretAuthType(StrEnum):
    """Where the credentials come from."""

    SECRET = "Secret"  # noqa: S105 a kind of object, no password


class OwnAuth(TypedUnion):
    """The credentials of a login to another server than the host: `type`, and the member of that name."""

    type: Annotated[SecretAuthType, Field(description="Where the credentials come from.")]
    secret: Annotated[SecretAuth | None, Field(description="With type Secret: your own credentials.")] = None
