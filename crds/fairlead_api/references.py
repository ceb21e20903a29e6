"""References to Secrets of the same namespace."""

from typing import Annotated

from pydantic import Field

from fairlead_api.base import ApiModel, Cel
from fairlead_api.strings import ObjectName

SecretKey = Annotated[
    str,
    Field(min_length=1, max_length=253),
    Cel(
        "self.matches('^[-._A-Za-z0-9]+$') && self != '.' && !self.startsWith('..')",
        "must be a key of a Secret: letters, digits and - _ ., not beginning with '..'",
    ),
]
"""A key in a Secret's data."""


class SecretKeyRef(ApiModel):
    """One key of a Secret."""

    name: Annotated[ObjectName, Field(description="Name of the Secret, in the RemoteHost's namespace.")]
    key: Annotated[SecretKey, Field(description="The key in the Secret. A changed value is used at once.")]


class SecretAuth(ApiModel):
    """Credentials in a Secret of the same namespace."""

    name: Annotated[
        ObjectName,
        Field(
            description="Name of the Secret. Keys that are read: `ssh-privatekey`, with `passphrase` and"
            " `ssh-certificate` where needed, `password`, and `totp-secret` (base32 or an otpauth URI) where the"
            " server asks for one-time codes; `next-ssh-privatekey` and `next-ssh-certificate` are offered before"
            " those that they are to replace. A changed Secret is used at once, without a restart."
        ),
    ]
