"""Durations as Go writes them, and byte quantities as Kubernetes writes them."""

import re
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from fairlead_api.base import VALIDATIONS, Cel

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MICROSECONDS = {"ms": 1000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}
_DURATION_MAX_LENGTH = 32

BYTES_PATTERN = r"^[0-9]+(Ki|Mi|Gi|k|M|G)?$"
_BYTES = re.compile(r"([0-9]+)(Ki|Mi|Gi|k|M|G)?")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_BYTES_MAX_LENGTH = 20


def parse_duration(text: str) -> timedelta:
    """Read a duration as Go writes it (`time.ParseDuration`): `30s`, `1h30m`, `1.5h`; the finest unit is `ms`.

    Raises:
        ValueError: It is not written like that, or is too long to count.
    """
    if len(text) > _DURATION_MAX_LENGTH or not re.fullmatch(DURATION_PATTERN, text):
        raise ValueError(f"{text!r} is not a duration: write it like 30s, 5m or 1h30m")
    total = sum(Decimal(number) * _MICROSECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    try:
        return timedelta(microseconds=int(total))
    except OverflowError:
        raise ValueError(f"{text!r} is too long a duration") from None


def format_duration(value: timedelta) -> str:
    """Write a duration in the shortest form that `parse_duration` reads back to the same value."""
    rest = value // timedelta(milliseconds=1)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_bytes(value: str | int) -> int:
    """Read a Kubernetes quantity as a whole number of bytes: `1Mi`, `512k`, `1048576`.

    Raises:
        ValueError: It is not written like that.
    """
    text = str(value)
    match = _BYTES.fullmatch(text) if len(text) <= _BYTES_MAX_LENGTH else None
    if match is None:
        raise ValueError(f"{text!r} is not a size: write it like 64Ki, 1Mi or 1048576")
    return int(match[1]) * _FACTORS[match[2] or ""]


def format_bytes(size: int) -> str:
    """Write a number of bytes in the largest binary unit that divides it."""
    for unit in ("Gi", "Mi", "Ki"):
        if size and size % _FACTORS[unit] == 0:
            return f"{size // _FACTORS[unit]}{unit}"
    return str(size)


@dataclass(frozen=True)
class DurationBetween:
    """Metadata of a `timedelta` field: written as a Go duration, bounded on both ends (inclusive)."""

    least: str
    most: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse and check strings; take a `timedelta` from code as it is."""
        least, most = parse_duration(self.least), parse_duration(self.most)

        def validate(value: object) -> timedelta:
            duration = parse_duration(value) if isinstance(value, str) else value
            if not isinstance(duration, timedelta):
                raise ValueError("a duration is a string such as 30s, 5m or 1h30m")  # noqa: TRY004 pydantic reports ValueError only
            if not least <= duration <= most:
                raise ValueError(f"must be between {self.least} and {self.most}")
            return duration

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_duration, return_schema=None, when_used="unless-none"
            ),
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A bounded string with a rule that knows durations."""
        rule = Cel(
            f"self.matches('{DURATION_PATTERN.replace(chr(92), chr(92) * 2)}')"
            f" && duration(self) >= duration('{self.least}') && duration(self) <= duration('{self.most}')",
            f"must be a duration from {self.least} to {self.most}, written like 30s, 5m or 1h30m",
        )
        return {
            "type": "string",
            "minLength": 2,
            "maxLength": _DURATION_MAX_LENGTH,
            "pattern": DURATION_PATTERN,
            VALIDATIONS: [rule.as_schema()],
        }


@dataclass(frozen=True)
class BytesBetween:
    """Metadata of an `int` field: a Kubernetes quantity of bytes, bounded on both ends (inclusive)."""

    least: str
    most: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Parse and check quantities, numbers included."""
        least, most = parse_bytes(self.least), parse_bytes(self.most)

        def validate(value: object) -> int:
            if isinstance(value, bool) or not isinstance(value, str | int):
                raise ValueError("a size is a quantity such as 64Ki or 1Mi")  # noqa: TRY004 pydantic reports ValueError only
            size = parse_bytes(value)
            if not least <= size <= most:
                raise ValueError(f"must be between {self.least} and {self.most}")
            return size

        return core_schema.no_info_plain_validator_function(
            validate,
            serialization=core_schema.plain_serializer_function_ser_schema(format_bytes, return_schema=None),
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """An integer or a string; the rule bounds both."""
        rule = Cel(
            f"isQuantity(string(self)) && quantity(string(self)).compareTo(quantity('{self.least}')) >= 0"
            f" && quantity(string(self)).compareTo(quantity('{self.most}')) <= 0",
            f"must be a size from {self.least} to {self.most}, written like 64Ki or 1Mi",
        )
        return {
            "x-kubernetes-int-or-string": True,
            "maxLength": _BYTES_MAX_LENGTH,
            "pattern": BYTES_PATTERN,
            VALIDATIONS: [rule.as_schema()],
        }
