"""Headers of HTTP requests to an MCP server."""

import re
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from fairlead_api.base import ApiModel, Cel
from fairlead_api.references import SecretKeyRef

_NAME = "^[-!#$%&'*+.^_`|~0-9A-Za-z]+$"
_KEPT = (
    "accept",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
)
"""What HTTP and MCP themselves need; so are all that begin with `mcp-`."""
_VALUE = "^[!-~]([ -~]*[!-~])?$"


def _check_name(name: str) -> str:
    if not re.fullmatch(_NAME, name):
        raise ValueError(f"{name!r} is no name of a header")
    if name.lower() in _KEPT or name.lower().startswith("mcp-"):
        raise ValueError(f"{name} is set by Fairlead itself")
    return name


HeaderName = Annotated[
    str,
    Field(min_length=1, max_length=128),
    Cel(
        "self.matches('" + _NAME.replace("'", "\\'") + "')",
        "must be the name of a header alone, such as Authorization: without colon, spaces or value",
    ),
    Cel(
        f"!(self.lowerAscii() in {list(_KEPT)}) && !self.lowerAscii().startsWith('mcp-')",
        "is a header that HTTP and MCP set by themselves: remove it",
    ),
    AfterValidator(_check_name),
]
"""The name of an HTTP header that a user may set."""


class HeaderSource(ApiModel):
    """Where a header's value is kept."""

    secret_key_ref: Annotated[SecretKeyRef, Field(description="A key of a Secret in the RemoteHost's namespace.")]


class Header(ApiModel):
    """A header of every request."""

    rules = (Cel("has(self.value) != has(self.valueFrom)", "set value or valueFrom: exactly one of the two is needed"),)

    name: Annotated[HeaderName, Field(description="The header's name.")]
    value: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=2048,
            description="The whole value, for all to read who may read the RemoteHost.",
        ),
        Cel(
            f"self.matches('{_VALUE.replace(chr(92), chr(92) * 2)}')",
            "must be one line of ASCII without spaces at either end: mend it",
        ),
    ] = None
    value_from: Annotated[
        HeaderSource | None,
        Field(description="Where the value is kept, if it is a secret: the whole of it, such as `Bearer ...`."),
    ] = None

    @model_validator(mode="after")
    def _check_value(self) -> Self:
        if (self.value is None) == (self.value_from is None):
            raise ValueError("exactly one of value and valueFrom is needed")
        return self
