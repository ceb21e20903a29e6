"""The values that are mounted from Secrets, as far as they are there."""

import os
from collections.abc import Iterator

from fairlead_sidecar.config import SecretValue, SidecarConfig


def referenced(config: SidecarConfig) -> Iterator[SecretValue]:
    """Every mounted value that the configuration names: of variables, of redaction, the sudo password."""
    for variable in config.environment.variables:
        if variable.secret is not None:
            yield variable.secret
    if config.policy.sudo.password is not None:
        yield config.policy.sudo.password
    yield from config.policy.redact


def missing(config: SidecarConfig) -> tuple[str, ...]:
    """The names (`<secret>/<key>`) of the values that are not there, each once and in order."""
    return tuple(sorted({value.name for value in referenced(config) if not _is_there(value)}))


def _is_there(value: SecretValue) -> bool:
    return os.access(value.file, os.R_OK)
