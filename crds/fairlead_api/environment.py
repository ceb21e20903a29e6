"""Where commands start, and the variables they find."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from fairlead_api.base import ApiModel, Cel, ListType, refuse_repeated
from fairlead_api.references import SecretKeyRef
from fairlead_api.strings import Path, VariableName


class VariableSource(ApiModel):
    """Where a variable's value is kept."""

    secret_key_ref: Annotated[SecretKeyRef, Field(description="A key of a Secret in the RemoteHost's namespace.")]


class Variable(ApiModel):
    """A variable of every command's environment."""

    rules = (Cel("has(self.value) != has(self.valueFrom)", "set value or valueFrom: exactly one of the two is needed"),)

    name: Annotated[VariableName, Field(description="The variable's name.")]
    value: Annotated[
        str | None,
        Field(max_length=8192, description="The value, for all to read who may read the RemoteHost."),
        Cel("!self.contains('\\u0000')", "holds a NUL character, which no variable can hold: remove it"),
    ] = None
    value_from: Annotated[VariableSource | None, Field(description="Where the value is kept, if it is a secret.")] = (
        None
    )

    @model_validator(mode="after")
    def _check_value(self) -> Self:
        if (self.value is None) == (self.value_from is None):
            raise ValueError("exactly one of value and valueFrom is needed")
        return self


class Environment(ApiModel):
    """Where commands start, and the variables they find beside those of the account's login shell."""

    working_directory: Annotated[
        Path | None, Field(description="Where commands start. Absent: the account's home directory.")
    ] = None
    variables: Annotated[
        tuple[Variable, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Variables of every command, whatever the server's AcceptEnv says; they show in no list of"
            " processes. Absent: only those of the login shell.",
        ),
        ListType("map", ("name",)),
    ] = None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        refuse_repeated(variable.name for variable in self.variables or ())
        return self
