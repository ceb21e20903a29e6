"""The peers' locks install anywhere, and only what was locked."""

import json
import re

from benchmarks.peers.install import LOCKS


def test_the_locks_name_no_registry() -> None:
    for lock in LOCKS.rglob("*.txt"):
        assert "://" not in lock.read_text(), lock.name
    for lock in LOCKS.rglob("package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert not [name for name, package in packages.items() if "resolved" in package], lock.parent.name


def test_everything_is_locked_by_its_hash() -> None:
    for lock in LOCKS.rglob("*.txt"):
        for requirement in re.split(r"\n(?=\S)", lock.read_text()):
            if not requirement.startswith("#"):
                assert "--hash=sha256:" in requirement, requirement.splitlines()[0]
    for lock in LOCKS.rglob("package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        assert not [name for name, package in packages.items() if name and "integrity" not in package]
