"""Where the configuration comes from, and what it becomes once read."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from fairlead_sidecar.access.grants import Grants
from fairlead_sidecar.config import SidecarConfig, digest
from fairlead_sidecar.narrowing import narrowed
from fairlead_sidecar.policy import ClosedPolicy, CompiledPolicy, HostPolicy, PolicyInvalid
from fairlead_sidecar.tools.catalogue import host_tools
from fairlead_sidecar.tools.spec import Tool
from fairlead_sidecar.validation import problems


class ConfigRefused(Exception):
    """A configuration can't come into force; the message says why, without repeating its values."""


@dataclass(frozen=True)
class Active:
    """A configuration in force, with what is derived from it once."""

    config: SidecarConfig
    digest: str
    policy: HostPolicy
    grants: Grants
    tools: Mapping[str, Tool]
    """What the host offers, by name."""
    fault: str | None = None
    """What is wrong with its policy, in whose place everything is denied; None where nothing is."""

    @property
    def mcp_path(self) -> str:
        """The path MCP answers at."""
        return self.config.endpoint.path.rstrip("/") + "/mcp"


def activate(raw: bytes) -> Active:
    """Read a configuration file's content.

    A policy that can't be used closes the host and holds up nothing else: who is revoked by the same file must not
    stay in, and who was to be restricted by it must not go on unrestricted.

    Raises:
        ConfigRefused: It does not fit the contract.
    """
    try:
        config = SidecarConfig.parse(raw)
    except ValidationError as error:
        raise ConfigRefused(problems(error)) from None
    policy: HostPolicy
    fault: str | None = None
    try:
        policy = CompiledPolicy(config.policy)
    except PolicyInvalid as error:
        fault = str(error)
        policy = ClosedPolicy(fault)
    return Active(
        config=config,
        digest=digest(raw),
        policy=policy,
        grants=Grants(config),
        tools=host_tools(config),
        fault=fault,
    )


def less(active: Active, raw: bytes) -> Active:
    """What stays in force of a configuration when a file that was refused shows that tokens were revoked."""
    config = narrowed(active.config, raw)
    return active if config is None else replace(active, config=config, grants=Grants(config))


class ConfigSource(Protocol):
    """Something that has a configuration, now or later, and may change it."""

    def poll(self) -> bytes | None:
        """The content when it differs from what the last call gave, else None. Never waits.

        Raises:
            OSError: It is there but can't be read.
        """


class FileSource:
    """A file, typically mounted from a Secret, whose content is replaced as a whole (by rename or by symbolic link)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None

    def poll(self) -> bytes | None:
        """See `ConfigSource`; a file that is not there yet, or no longer, changes nothing."""
        try:
            with self.path.open("rb") as file:
                status = os.fstat(file.fileno())
                seen = (status.st_ino, status.st_mtime_ns, status.st_size)
                if seen == self._seen:
                    return None
                content = file.read()
        except FileNotFoundError:
            return None
        self._seen = seen
        return content


class StaticSource:
    """A configuration held in memory; `replace` changes it as a new file would."""

    def __init__(self, config: SidecarConfig) -> None:
        self._next: bytes | None = config.render().encode()

    def replace(self, config: SidecarConfig) -> None:
        """Let `config` come into force at the next poll."""
        self._next = config.render().encode()

    def poll(self) -> bytes | None:
        """See `ConfigSource`."""
        content, self._next = self._next, None
        return content
