"""Parts of a spec as plain values, in the words of the sidecar's configuration."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import Enum
from typing import Any

from fairlead_api.base import ApiModel
from fairlead_api.references import SecretKeyRef

_RENAMED = {"env": "variables", "value_from": "secret", "password_secret_ref": "password"}
_REFERENCE = "secret_key_ref"


def plain(value: Any, secret: Callable[[SecretKeyRef], Any]) -> Any:
    """What a part of a spec says, for a model of the sidecar's configuration to read.

    Fields have Python's names, absent ones are left out, and durations are seconds.

    Args:
        value: The part.
        secret: What stands for a key of a Secret there.
    """
    match value:
        case SecretKeyRef():
            return secret(value)
        case ApiModel():
            return _fields(value, secret)
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {name: plain(part, secret) for name, part in value.items()}
        case tuple():
            return tuple(plain(part, secret) for part in value)
    return value.value if isinstance(value, Enum) else value


def _fields(model: ApiModel, secret: Callable[[SecretKeyRef], Any]) -> Any:
    fields = {
        _RENAMED.get(name, name): plain(part, secret)
        for name in type(model).model_fields
        if (part := getattr(model, name)) is not None
    }
    # What holds a reference and nothing else is that reference.
    return fields[_REFERENCE] if fields.keys() == {_REFERENCE} else fields
