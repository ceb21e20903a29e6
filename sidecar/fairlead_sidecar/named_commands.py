"""Named commands: from the values an agent gives to the words that run, without any shell between.

Pure: nothing here touches the host.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

from fairlead_sidecar.config import NamedCommand, Parameter
from fairlead_sidecar.errors import InvalidRequest

Value = str | int | bool
"""What an agent gives for a parameter: text, a whole number, or true and false (written so on the command line)."""

_WORD_PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[^{}]+|[{}]")


class WholePattern(Protocol):
    """A compiled pattern."""

    pattern: str

    def fullmatch(self, text: str) -> object | None:
        """Whether it matches all of `text`."""


class Unknown(ValueError):
    """A word names a parameter that there is not, or has a lone brace."""


class NamedArgv:
    """The argv of one named command, ready to be filled in.

    Args:
        command: The command.
        patterns: The compiled patterns of its parameters, by the parameter's name.

    Raises:
        Unknown: A word can't be read.
    """

    def __init__(self, command: NamedCommand, patterns: Mapping[str, WholePattern]) -> None:
        self.command = command
        self._patterns = patterns
        self._words = tuple(tuple(_parts(word, command.parameters)) for word in command.argv)

    def render(self, values: Mapping[str, Value | None]) -> tuple[str, ...]:
        """The words to execute.

        A value stays within its word, whatever characters it has; an empty one leaves the word's rest, or an empty
        word. A value that begins with `-` could be taken for an option, so it is refused unless the host's owner
        wrote it so: in `enum`, as the default, with a negative minimum, or with a pattern that itself begins with `-`.

        Raises:
            InvalidRequest: A value is missing, or not one that the parameter takes.
        """
        filled = {
            name: self._written(name, parameter, values.get(name))
            for name, parameter in self.command.parameters.items()
        }
        return tuple("".join(part if literal else filled[part] for literal, part in word) for word in self._words)

    def _written(self, name: str, parameter: Parameter, value: Value | None) -> str:
        if value is None:
            if parameter.default is None:
                raise InvalidRequest(f"The parameter {name} is missing.")
            return parameter.default
        if parameter.type == "Boolean":
            return _boolean(name, value)
        if parameter.type == "Integer":
            return _integer(name, parameter, value)
        return self._text(name, parameter, value)

    def _text(self, name: str, parameter: Parameter, value: Value) -> str:
        if not isinstance(value, str):
            raise InvalidRequest(f"The parameter {name} must be text.")
        if "\0" in value:
            raise InvalidRequest(f"The parameter {name} contains a NUL character, which no argument can hold.")
        if parameter.enum is not None:
            if value not in parameter.enum:
                raise InvalidRequest(f"The parameter {name} must be one of: {', '.join(parameter.enum)}.")
            return value
        pattern = self._patterns.get(name)
        if pattern is not None and pattern.fullmatch(value) is None:
            raise InvalidRequest(f"The parameter {name} must match `{pattern.pattern}` as a whole.")
        if value.startswith("-") and not (
            pattern is not None and pattern.pattern.lstrip("^(").startswith(("-", "?:-"))
        ):
            raise InvalidRequest(f"The parameter {name} must not begin with `-`: it would be taken for an option.")
        return value


def _boolean(name: str, value: Value) -> str:
    if not isinstance(value, bool):
        raise InvalidRequest(f"The parameter {name} must be true or false.")
    return "true" if value else "false"


def _integer(name: str, parameter: Parameter, value: Value) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequest(f"The parameter {name} must be a whole number.")
    # A negative number looks like an option (`kill -9`), so it takes a minimum that says that it is meant.
    least = 0 if parameter.minimum is None else parameter.minimum
    if value < least or (parameter.maximum is not None and value > parameter.maximum):
        most = "" if parameter.maximum is None else f" and at most {parameter.maximum}"
        raise InvalidRequest(f"The parameter {name} must be at least {least}{most}.")
    return str(value)


def _parts(word: str, parameters: Mapping[str, Parameter]) -> Iterator[tuple[bool, str]]:
    """Pairs (whether it is literal, the text or the parameter's name)."""
    for match in _WORD_PART.finditer(word):
        part = match[0]
        if part in ("{{", "}}"):
            yield True, part[0]
        elif part in ("{", "}"):
            raise Unknown(f"{word!r} has a lone brace; write it twice to mean a brace")
        elif match[1] is None:
            yield True, part
        elif match[1] in parameters:
            yield False, match[1]
        else:
            raise Unknown(f"{word!r} names {part}, which is none of its parameters")
