"""Runs the conformance suite (npm `@modelcontextprotocol/conformance`) and reads what it found."""

import asyncio
import json
import os
import platform
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

NODE = f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}/bin/node"
TIMEOUT = 300.0
"""Seconds for one run."""


@dataclass(frozen=True)
class Set:
    """One version of the suite and the scenarios to run of it."""

    name: str
    package: str
    options: tuple[str, ...]
    revision: str | None = None
    """The protocol version whose requirements it runs; None: all scenarios of a suite that has no such lists."""

    @property
    def expected_failures(self) -> Path:
        """What the product itself can't pass, because it has none of the suite's own tools."""
        return Path(__file__).parent / "expected-failures" / f"{self.name}.yaml"

    def required(self) -> set[str]:
        """The scenarios that conformance needs; what the suite runs beyond them is not scored."""
        if self.revision is None:
            script = modules() / self.package / "dist" / "index.js"
            command = [str(modules() / NODE), str(script), "list", "--server"]
            listed = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
            return set(re.findall(r"^  - (\S+)", listed, re.MULTILINE))
        file = modules() / self.package / "requirements" / f"{self.revision}.yaml"
        return set(yaml.safe_load(file.read_text())["server"])


SETS = (
    Set("stable", "conformance", ("--suite", "all")),
    Set("handshake", "conformance-next", ("--requirements", "2025-11-25"), "2025-11-25"),
    Set("modern", "conformance-next", ("--requirements", "2026-07-28"), "2026-07-28"),
)


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    exit_code: int
    output: str
    checks: dict[str, list[tuple[str, str, str]]]
    """By scenario: the name, the status and the message of each check."""

    @property
    def passed(self) -> set[str]:
        """The scenarios that were run and of which no check failed."""
        return set(self.checks) - self.failed

    @property
    def failed(self) -> set[str]:
        """The scenarios with a check that failed."""
        return {name for name, checks in self.checks.items() if any(status == "FAILURE" for _, status, _ in checks)}

    def counts(self) -> str:
        """How many scenarios passed."""
        return f"{len(self.passed)} of {len(self.checks)} scenarios passed"

    def report(self) -> str:
        """For people: what failed and why."""
        lines = [
            f"{scenario}: {check}: {message}"
            for scenario in sorted(self.failed)
            for check, status, message in self.checks[scenario]
            if status == "FAILURE"
        ]
        return "\n".join([*lines, f"exit code {self.exit_code}", self.output[-3000:]])


def modules() -> Path:
    """Where `make conformance` installed the suite.

    Raises:
        RuntimeError: It did not yet.
    """
    path = os.environ.get("FAIRLEAD_NODE_MODULES")
    if not path:
        raise RuntimeError("Run these tests with `make conformance`: it installs the suite first.")
    return Path(path)


async def run(chosen: Set, url: str, *options: str) -> Outcome:
    """Run it against `url`."""
    with tempfile.TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            modules() / NODE,
            modules() / chosen.package / "dist" / "index.js",
            *("server", "--url", url, "--output-dir", directory, *chosen.options, *options),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # The suite takes its colours and its proxies from the environment.
            env={"PATH": os.defpath, "HOME": directory, "NO_COLOR": "1"},
        )
        try:
            output, _ = await asyncio.wait_for(process.communicate(), TIMEOUT)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return Outcome(process.returncode or 0, output.decode(), _read(Path(directory)))


def _read(directory: Path) -> dict[str, list[tuple[str, str, str]]]:
    found = {}
    for file in directory.rglob("checks.json"):
        name = re.sub(r"^server-", "", re.sub(r"-\d{4}-\d\d-\d\dT[\d-]+Z$", "", file.parent.name))
        found[name] = [
            (check["name"], check["status"], check.get("errorMessage") or "") for check in json.loads(file.read_text())
        ]
    return found
