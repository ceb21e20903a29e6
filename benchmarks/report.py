"""What the pages of all benchmark runs have in common: no machine names, no paths."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def write(name: str, page: str) -> Path:
    """Keep a page as the last result of its kind."""
    file = RESULTS / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(page)
    return file


def circumstances() -> str:
    """When, on what kind of machine and with which versions."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("fairlead", "mcp", "asyncssh", "uvicorn"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), load {os.getloadavg()[0]:.1f} "
        f"at the end, Python {platform.python_version()}, {versions}."
    )


def met(*, holds: bool) -> str:
    """Whether a target was met, for a table."""
    return "yes" if holds else "NO"
