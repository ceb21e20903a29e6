"""The values that are mounted from Secrets, as far as they are there."""

import os
from collections.abc import Iterator

from fairlead_sidecar.config import HttpServer, SecretValue, SidecarConfig, StdioServer


def referenced(config: SidecarConfig) -> Iterator[SecretValue]:
    """Every mounted value that the configuration names: of variables and headers, of redaction, the sudo password."""
    for variable in config.environment.variables:
        if variable.secret is not None:
            yield variable.secret
    if config.policy.sudo.password is not None:
        yield config.policy.sudo.password
    yield from config.policy.redact
    for upstream in config.mcp_servers:
        if isinstance(upstream.server, StdioServer):
            yield from (variable.secret for variable in upstream.server.variables if variable.secret is not None)
        elif isinstance(upstream.server, HttpServer):
            yield from (header.secret for header in upstream.server.headers if header.secret is not None)


def missing(config: SidecarConfig) -> tuple[str, ...]:
    """The names (`<secret>/<key>`) of the values that are not there, each once and in order."""
    return tuple(sorted({value.name for value in referenced(config) if not _is_there(value)}))


def _is_there(value: SecretValue) -> bool:
    return os.access(value.file, os.R_OK)
