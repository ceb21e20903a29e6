"""The locks of the peers and of the upstream servers install anywhere, and only what was locked."""

import json
import re
from pathlib import Path

from benchmarks.peers.install import LOCKS as PEERS
from tests.upstreams.install import LOCKS as UPSTREAMS

LOCKS = (PEERS, UPSTREAMS)


def _files(pattern: str) -> list[Path]:
    return [file for locks in LOCKS for file in locks.rglob(pattern)]


def test_the_locks_name_no_registry() -> None:
    for lock in _files("*.txt"):
        assert "://" not in lock.read_text(), lock.name
    for lock in _files("package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert not [name for name, package in packages.items() if "resolved" in package], lock.parent.name


def test_everything_is_locked_by_its_hash() -> None:
    for lock in _files("*.txt"):
        for requirement in re.split(r"\n(?=\S)", lock.read_text()):
            if not requirement.startswith("#"):
                assert "--hash=sha256:" in requirement, requirement.splitlines()[0]
    for lock in _files("package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert not [name for name, package in packages.items() if name and "integrity" not in package]
