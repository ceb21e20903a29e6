"""What a file says about the host, in the words of a RemoteHost's spec."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import re2
import yaml
from pydantic import Field, ValidationError, model_validator

from fairlead_api.base import ApiModel, refuse_repeated
from fairlead_api.environment import Environment
from fairlead_api.host_policy import Limits, Policy, ToolGroup, Tools
from fairlead_api.mcp_servers import MAX_MCP_SERVERS, McpServer
from fairlead_api.plain import plain
from fairlead_api.references import SecretKeyRef
from fairlead_sidecar import config as sidecar

_PARTS = "environment, tools, policy, limits and mcpServers"


class HostFileError(Exception):
    """The file can't be used; the message says why and what to do."""


class HostFile(ApiModel):
    """The part of a RemoteHost's spec that a host without a cluster has."""

    environment: Environment = Environment()
    tools: Tools | None = None
    policy: Policy = Policy()
    limits: Limits = Limits()
    mcp_servers: Annotated[tuple[McpServer, ...], Field(max_length=MAX_MCP_SERVERS)] | None = None

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for server in self.mcp_servers or ():
            if not re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", server.name):
                msg = f"the name of an MCP server is lower-case letters, digits and '-', unlike {server.name!r}"
                raise ValueError(msg)
        refuse_repeated(server.name for server in self.mcp_servers or ())
        return self


@dataclass(frozen=True)
class Said:
    """Something that the command line says of the host."""

    flag: str
    place: tuple[str, ...]
    """Where a file would say it."""
    value: Any


def describe(file: Path | None, flags: Iterable[Said]) -> HostFile:
    """What is said of the host, in a file and on the command line.

    Raises:
        HostFileError: The file can't be read, or says something that a RemoteHost can't; or something is said twice.
    """
    content = _read(file) if file is not None else {}
    prefix = f"{file}: " if file is not None else ""
    for said in flags:
        _put(content, said, file)
    try:
        found = HostFile.model_validate(content)
    except ValidationError as error:
        raise HostFileError(prefix + "; ".join(problems(error))) from error
    for place, pattern in found.policy.patterns():
        if problem := pattern_problem(pattern):
            raise HostFileError(f"{prefix}policy.{place}: {pattern!r} is no RE2 pattern: {problem}")
    return found


def problems(error: ValidationError) -> list[str]:
    """What is wrong, by place, in words for somebody who knows RemoteHosts but not this program's libraries."""
    found: dict[tuple[int | str, ...], str] = {}
    for problem in error.errors():
        place = problem["loc"]
        if problem["type"] == "extra_forbidden":
            found[place] = "no such field"
        elif problem["type"] == "missing":
            found[place] = "is needed"
        # Where an entry is wrong, pydantic also counts the list without it.
        elif not (problem["type"] == "too_short" and any(other[: len(place)] == place for other in found)):
            found[place] = problem["msg"].removeprefix("Value error, ")
    return [f"{'.'.join(str(part) for part in place)}: {text}" for place, text in found.items()][:5]


def _read(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise HostFileError(f"{file} can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise HostFileError(f"{file} is no YAML: {error}") from error
    if not isinstance(content, dict):
        raise HostFileError(f"{file} must hold {_PARTS}, as a RemoteHost's spec does")
    if "spec" in content:
        raise HostFileError(
            f"{file} is a whole RemoteHost: leave only {_PARTS} from below its spec, at the file's top level"
        )
    return content


def _put(content: dict[str, Any], said: Said, file: Path | None) -> None:
    *parents, name = said.place
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise HostFileError(f"{file}: {parent} must be a map")
    if name in {"variables", "mcpServers"}:
        # One more says nothing against those of the file; a name that occurs twice is refused later.
        content[name] = [*(content.get(name) or ()), *said.value]
    elif name in content:
        raise HostFileError(f"{said.flag} and {'.'.join(said.place)} in {file} say the same: leave one of them out")
    else:
        content[name] = said.value


def pattern_problem(pattern: str) -> str:
    """Why a pattern can't be used; empty where it can."""
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        return reason.decode() if isinstance(reason, bytes) else str(reason)
    return ""


class Secrets:
    """The directory that stands for Secrets: `<directory>/<name>/<key>` holds the value of a key."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def value(self, reference: SecretKeyRef) -> sidecar.SecretValue:
        """Where the value of a reference is.

        Raises:
            HostFileError: There is no such directory or no such file in it.
        """
        name = f"{reference.name}/{reference.key}"
        if self._directory is None:
            raise HostFileError(f"the file names the Secret {reference.name!r}: give --secrets DIR with DIR/{name}")
        file = self._directory.absolute() / reference.name / reference.key
        if not file.is_file():
            raise HostFileError(f"{file} is missing: it should hold the value of the Secret's key")
        return sidecar.SecretValue(file=file, name=name)

    def directory(self, name: str) -> Path:
        """Where the keys of a Secret are.

        Raises:
            HostFileError: There is no such directory.
        """
        if self._directory is None:
            raise HostFileError(f"the file names the Secret {name!r}: give --secrets DIR with DIR/{name}")
        found = self._directory.absolute() / name
        if not found.is_dir():
            raise HostFileError(f"{found} is missing: it should hold the keys of the Secret")
        return found


Resolve = Callable[[SecretKeyRef], sidecar.SecretValue]


def policy(host: HostFile, resolve: Resolve) -> sidecar.Policy:
    """What may be done on the host."""
    return sidecar.Policy.model_validate(plain(host.policy, resolve))


def environment(host: HostFile, resolve: Resolve) -> sidecar.Environment:
    """Where commands start and what they find."""
    return sidecar.Environment.model_validate(plain(host.environment, resolve))


def limits(host: HostFile, resolve: Resolve) -> sidecar.Limits:
    """Bounds of one call."""
    return sidecar.Limits.model_validate(plain(host.limits, resolve))


def groups(host: HostFile) -> frozenset[sidecar.ToolGroup]:
    """The groups of tools that are offered."""
    named: Iterable[ToolGroup] | None = host.tools.groups if host.tools is not None else None
    if named is None:
        return frozenset(sidecar.ToolGroup)
    return frozenset(sidecar.ToolGroup(group.value) for group in named if group is not ToolGroup.CONNECTION)
