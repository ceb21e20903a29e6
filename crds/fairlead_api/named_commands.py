"""Commands that the host's owner wrote, each offered as a tool of its own."""

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.base import ApiModel, Cel, ListType
from fairlead_api.quantities import DurationBetween
from fairlead_api.strings import Path, Pattern, Username

_NAME = "[a-z][a-z0-9_]{0,40}"
_PARAMETER = "[a-z][a-z0-9_]{0,30}"
_WORD_PART = re.compile(rf"\{{\{{|\}}\}}|\{{({_PARAMETER})\}}|[^{{}}]+")
_INTEGER = "-?[0-9]{1,15}"
_BOOLEANS = ("true", "false")
_INTEGER_BOUND = 10**15 - 1
_WITHOUT_BRACES = "word.replace('{{', '').replace('}}', '')"
"""CEL for a word in which only the braces of parameters are left."""


def placeholders(word: str) -> Iterator[str]:
    """The names of the parameters that stand in a word as `{name}`; `{{` and `}}` are braces.

    Raises:
        ValueError: A brace stands alone, or what it encloses is no name.
    """
    position = 0
    while position < len(word):
        part = _WORD_PART.match(word, position)
        if part is None:
            raise ValueError(f"{word!r} has a brace that is neither a parameter's nor doubled")
        position = part.end()
        if part[1]:
            yield part[1]


class ParameterType(StrEnum):
    """What a parameter's value is."""

    STRING = "String"
    INTEGER = "Integer"
    BOOLEAN = "Boolean"


class Parameter(ApiModel):
    """One typed parameter of a named command."""

    rules = (
        Cel(
            "self.type == 'String' || (!has(self.pattern) && !has(self.enum))",
            "pattern and enum belong to type String only: remove them, or set type: String",
        ),
        Cel(
            "self.type == 'Integer' || (!has(self.minimum) && !has(self.maximum))",
            "minimum and maximum belong to type Integer only: remove them, or set type: Integer",
        ),
        Cel(
            "!has(self.maximum) || (has(self.minimum) ? self.minimum : 0) <= self.maximum",
            "minimum (0 where it is left out) is more than maximum: lower the one or raise the other",
        ),
        Cel(
            f"!has(self.default) || self.type != 'Integer' || (self.default.matches('^{_INTEGER}$')"
            " && int(self.default) >= (has(self.minimum) ? self.minimum : 0)"
            " && (!has(self.maximum) || int(self.default) <= self.maximum))",
            "default is no whole number within minimum and maximum: write one, in quotes",
        ),
        Cel(
            "!has(self.default) || self.type != 'Boolean' || self.default in ['true', 'false']",
            "default of a Boolean is 'true' or 'false', in quotes: write one of them",
        ),
        Cel(
            "!has(self.default) || !has(self.enum) || self.default in self.enum",
            "default is none of the values in enum: write one of those",
        ),
        Cel(
            "!has(self.default) || !has(self.pattern) || self.default.matches('^(?:' + self.pattern + ')$')",
            "default does not match pattern as a whole: change the one or the other",
        ),
        Cel(
            "!has(self.default) || self.type != 'String' || has(self.pattern) || has(self.enum)"
            " || !self.default.startsWith('-')",
            "default begins with '-' and might be taken for an option: allow that with a pattern, or change it",
        ),
    )

    type: Annotated[ParameterType, Field(description="What the value is.")] = ParameterType.STRING
    description: Annotated[str, Field(max_length=256, description="What the parameter means. Agents read it.")] = ""
    pattern: Annotated[
        Pattern | None,
        Field(
            max_length=256,
            description="With type String: RE2 that must match the whole value. A value may begin with '-', as options"
            " do, only where the pattern itself does. Absent: any other value.",
        ),
    ] = None
    enum: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=256)], ...] | None,
        Field(min_length=1, max_length=64, description="With type String: the values that are accepted. Absent: any."),
        ListType("set"),
    ] = None
    minimum: Annotated[
        int | None,
        Field(ge=-_INTEGER_BOUND, le=_INTEGER_BOUND, description="With type Integer: the smallest value. Absent: 0."),
    ] = None
    maximum: Annotated[
        int | None,
        Field(ge=-_INTEGER_BOUND, le=_INTEGER_BOUND, description="With type Integer: the largest value. Absent: any."),
    ] = None
    default: Annotated[
        str | None,
        Field(
            max_length=128,
            description="The value where the agent gives none, as it stands on the command line."
            " Absent: the parameter is required.",
        ),
    ] = None

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        if self.type is not ParameterType.STRING and (self.pattern is not None or self.enum is not None):
            raise ValueError("pattern and enum belong to type String only")
        if self.type is not ParameterType.INTEGER and (self.minimum is not None or self.maximum is not None):
            raise ValueError("minimum and maximum belong to type Integer only")
        if self.maximum is not None and (self.minimum or 0) > self.maximum:
            raise ValueError("minimum (0 where it is left out) is more than maximum")
        return self

    @model_validator(mode="after")
    def _check_default(self) -> Self:
        """All but the pattern: that is RE2, which this package does not have."""
        default = self.default
        if default is None:
            return self
        if self.type is ParameterType.INTEGER:
            if not re.fullmatch(_INTEGER, default):
                raise ValueError("default is no whole number")
            if int(default) < (self.minimum or 0) or (self.maximum is not None and int(default) > self.maximum):
                raise ValueError("default is not within minimum and maximum")
        elif self.type is ParameterType.BOOLEAN:
            if default not in _BOOLEANS:
                raise ValueError("default of a Boolean is 'true' or 'false'")
        elif self.enum is not None:
            if default not in self.enum:
                raise ValueError("default is none of the values in enum")
        elif self.pattern is None and default.startswith("-"):
            raise ValueError("default begins with '-' without a pattern that allows it")
        return self


class NamedCommand(ApiModel):
    """A command offered as a tool of its own; it runs without any shell."""

    rules = (
        Cel(
            f"self.argv.all(word, word.matches('^([^{{}}]|[{{][{{]|[}}][}}]|[{{]{_PARAMETER}[}}])*$'))",
            "argv has a brace that is neither a parameter's, as in {unit}, nor doubled: mend it, or double it to mean"
            " a brace",
        ),
        Cel(
            f"self.argv.map(word, {_WITHOUT_BRACES}).all(word, word.split('{{').size() - 1 == (has(self.parameters)"
            " ? self.parameters.map(name, word.split('{' + name + '}').size() - 1).sum() : 0))",
            "argv names a parameter in braces that parameters doesn't define: define it there, or mend its name",
        ),
        Cel(
            # A word with doubled braces around the name passes here and is found when the object is read.
            "!has(self.parameters) || self.parameters.all(name, self.argv.exists(word,"
            " word.contains('{' + name + '}')))",
            "parameters defines one that argv doesn't name in braces: use it there, or remove it",
        ),
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=41, description="The tool is called `run_<name>`."),
        Cel(
            f"self.matches('^{_NAME}$')",
            "must be lower-case letters, digits and '_', beginning with a letter, at most 41 in all",
        ),
    ]
    description: Annotated[str, Field(max_length=512, description="What the command does. Agents read it.")] = ""
    argv: Annotated[
        tuple[
            Annotated[
                str,
                Field(min_length=1, max_length=512),
                Cel("!self.contains('\\u0000')", "holds a NUL character, which no argument can hold: remove it"),
            ],
            ...,
        ],
        Field(
            min_length=1,
            max_length=32,
            description="The program and its arguments, word by word; no shell reads them. `{name}` in a word stands"
            " for the parameter's value, `{{` and `}}` for braces.",
        ),
        ListType("atomic"),
    ]
    parameters: Annotated[
        dict[str, Parameter] | None,
        Field(
            min_length=1,
            max_length=16,
            description="The values that agents give, by name. Absent: the command takes none.",
        ),
        Cel(
            f"self.all(name, name.matches('^{_PARAMETER}$'))",
            "has a name that is not made of lower-case letters, digits and '_', beginning with a letter, at most 31"
            " in all",
        ),
    ] = None
    working_directory: Annotated[
        Path | None, Field(description="Where the command starts. Absent: as spec.environment says.")
    ] = None
    user: Annotated[
        Username | None,
        Field(description="The account to run it as with sudo, one of policy.sudo.users. Absent: the login's account."),
    ] = None
    timeout: Annotated[
        timedelta | None,
        DurationBetween("1s", "24h"),
        Field(description="It is killed when it runs longer. Absent: limits.commandTimeout."),
    ] = None
    read_only: Annotated[
        bool, Field(description="true: it changes nothing on the host, so it is offered on a read-only host too.")
    ] = False

    @model_validator(mode="after")
    def _check_parameters(self) -> Self:
        if not re.fullmatch(_NAME, self.name):
            raise ValueError(f"{self.name!r} is no name for a tool: lower-case letters, digits and '_'")
        used = {name for word in self.argv for name in placeholders(word)}
        defined = set(self.parameters or ())
        if missing := sorted(used - defined):
            raise ValueError(f"argv names {{{missing[0]}}}, which parameters doesn't define")
        if unused := sorted(defined - used):
            raise ValueError(f"parameters defines {unused[0]}, which argv doesn't name")
        return self
