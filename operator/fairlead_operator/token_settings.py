"""The part of the settings that says how tokens are made and judged."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field

from fairlead_api.networks import Cidr
from fairlead_operator.setting_values import split


class TokenSettings(BaseModel):
    """Proxies that are believed, and the name under which JWTs are signed."""

    endpoint_trusted_proxies: Annotated[tuple[Cidr, ...], Field(max_length=64), BeforeValidator(split)] = ()
    """Networks of what is in front of sidecars; of others `X-Forwarded-For` is not believed."""
    token_issuer: Annotated[str, Field(max_length=256, pattern=r"^$|^https?://[^\s?#]+$")] = ""
    """`iss` of JWTs, a URL (RFC 7519); empty: the default endpoint's, or the operator's own inside the cluster."""
