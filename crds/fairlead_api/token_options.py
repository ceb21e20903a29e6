"""How a token is made, renewed and bounded."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.base import ApiModel, Cel
from fairlead_api.quantities import DurationBetween

DEFAULT_OVERLAP = timedelta(hours=1)
"""How long a token goes on working once another one took its place, where the spec does not say."""


class TokenFormat(StrEnum):
    """What the token looks like."""

    OPAQUE = "Opaque"
    JWT = "JWT"


class TokenRotation(ApiModel):
    """When another token takes the place of the present one, and how long both work."""

    rules = (
        Cel(
            "!has(self.interval) || duration(self.overlap) < duration(self.interval)",
            "overlap (1h unless set) must be shorter than interval: shorten overlap or lengthen interval",
        ),
    )

    interval: Annotated[
        timedelta | None,
        DurationBetween("5m", "8760h"),
        Field(
            description="How long a token stays in the Secret until another takes its place. Absent: only when the"
            " annotation `fairlead.dev/rotate` gets another value."
        ),
    ] = None
    overlap: Annotated[
        timedelta,
        DurationBetween("0s", "168h"),
        Field(
            description="How long the former token still works after a rotation, whatever caused it. 0s: not at all."
        ),
    ] = DEFAULT_OVERLAP

    @model_validator(mode="after")
    def _check_overlap(self) -> Self:
        if self.interval is not None and self.overlap >= self.interval:
            raise ValueError("overlap must be shorter than interval")
        return self


class TokenRateLimit(ApiModel):
    """How much of what a host allows to each token this one gets."""

    multiplier_percent: Annotated[
        int,
        Field(
            ge=1,
            le=10_000,
            description="Percent of the host's limits.requestsPerMinute and limits.commandsPerHour; 100 is as much as"
            " every token gets, 200 twice as much. At least one request and one command remain.",
        ),
    ] = 100
