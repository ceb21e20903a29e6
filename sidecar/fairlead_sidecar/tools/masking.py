"""The last look at what a tool gives, before any of it leaves: values masked, and nothing hidden in messages."""

from typing import TypeVar

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.tools.redact import Redactor
from fairlead_sidecar.tools.sanitize import visible
from fairlead_sidecar.tools.spec import Result

_R = TypeVar("_R", bound=Result)
_E = TypeVar("_E", bound=FairleadError)


def masked(redactor: Redactor, result: _R) -> _R:
    """The result with every value masked in all of its text."""
    if not redactor:
        return result
    before = result.model_dump()
    after = redactor.structure(before)
    return result if after == before else type(result).model_validate(after)


def masked_error(redactor: Redactor, error: _E) -> _E:
    """The error with its words masked and made visible: they may quote the host."""
    error.message = visible(redactor.text(error.message))[0]
    error.hint = visible(redactor.text(error.hint))[0]
    error.args = (error.message,)
    return error
