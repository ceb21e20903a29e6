"""Somebody on the host swaps links into the way while files are worked on."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from fairlead_sidecar.errors import FairleadError, PolicyDenied
from fairlead_sidecar.ssh.files import Guard, RemoteFiles
from fairlead_sidecar.ssh.files.matching import Filter, compiled
from fairlead_sidecar.ssh.files.searching import Query
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory

OPEN = "/home/deploy/open"
SWAP = """
import ctypes, os, random, sys, time
libc, (one, other) = ctypes.CDLL(None, use_errno=True), map(os.fsencode, sys.argv[1:])
while True:
    if libc.renameat2(-100, one, -100, other, 2):  # AT_FDCWD, RENAME_EXCHANGE
        sys.exit(os.strerror(ctypes.get_errno()))
    time.sleep(random.random() * random.choice((0, 0.0003, 0.03)))
"""
TRIES = 500


def only_open(resolved: str) -> None:
    """The policy of these tests."""
    if resolved != OPEN and not resolved.startswith(f"{OPEN}/"):
        raise PolicyDenied(f"{resolved} is closed.")


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    """A host with an open directory, a closed one, and a link from the one to the other."""
    server = sshd_factory(username="deploy")
    for directory in ("open/spot/sub", "vault/sub"):
        (server.home / directory).mkdir(parents=True)
    for path in (server.home / "open", server.home / "vault"):
        for place in (path, *path.rglob("*")):
            place.chmod(0o777)
    (server.home / "open" / "spot" / "file").write_text("public")
    (server.home / "open" / "spot" / "sub" / "file").write_text("public")
    (server.home / "vault" / "file").write_text("secret")
    (server.home / "vault" / "sub" / "file").write_text("secret")
    for directory, _, names in os.walk(server.home):
        for name in names:
            os.chown(Path(directory, name), 59_000, 59_000)
    (server.home / "open" / "link").symlink_to("/home/deploy/vault")
    (server.home / "open" / "filelink").symlink_to("/home/deploy/vault/file")
    return server


@pytest.fixture
async def link(server: Sshd, start_link: StartLink) -> RunningLink:
    return start_link(server.sidecar_config())


@pytest.fixture
def files(link: RunningLink) -> RemoteFiles:
    return RemoteFiles(link.link, Guard(only_open), timeout=60)


@contextlib.contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Let two entries of a directory change places without pause."""
    process = subprocess.Popen([sys.executable, "-c", SWAP, one, other])
    try:
        yield
    finally:
        assert process.poll() is None, "the swapping ended by itself"
        process.kill()
        process.wait()


async def outcomes(attempt: Callable[[int], Awaitable[str]], wanted: set[str]) -> Counter[str]:
    """What comes of many tries: until each of `wanted` was seen ten times."""
    seen: Counter[str] = Counter()
    for number in range(TRIES):
        try:
            seen[await attempt(number)] += 1
        except FairleadError as error:
            seen[type(error).__name__] += 1
        if all(seen[outcome] >= 10 for outcome in wanted):
            break
    return seen


async def test_a_swapped_directory_never_lets_a_closed_file_be_read(server: Sshd, files: RemoteFiles) -> None:
    async def read(_: int) -> str:
        return (await files.read_file(f"{OPEN}/spot/file", max_bytes=100)).data.decode()

    with swapping(server.home / "open" / "spot", server.home / "open" / "link"):
        seen = await outcomes(read, {"public", "FileChanged"})
    assert seen["public"]
    assert seen["FileChanged"]
    assert "secret" not in seen


async def test_a_swapped_file_never_lets_a_closed_file_be_read(server: Sshd, files: RemoteFiles) -> None:
    async def read(_: int) -> str:
        return (await files.read_file(f"{OPEN}/spot/file", max_bytes=100)).data.decode()

    (server.home / "open" / "spot" / "link").symlink_to("/home/deploy/vault/file")
    with swapping(server.home / "open" / "spot" / "file", server.home / "open" / "spot" / "link"):
        seen = await outcomes(read, {"public", "FileChanged"})
    assert seen["public"]
    assert "secret" not in seen


async def test_a_swapped_directory_never_leads_a_write_astray(server: Sshd, files: RemoteFiles) -> None:
    async def write(number: int) -> str:
        await files.write_file(f"{OPEN}/spot/new-{number % 5}", b"x", mode=0o600)
        return "written"

    async def append(_: int) -> str:
        await files.write_file(f"{OPEN}/spot/file", b"+", append=True)
        return "appended"

    async def edit(_: int) -> str:
        await files.edit_file(f"{OPEN}/spot/file", lambda old: old + b"!")
        return "edited"

    with swapping(server.home / "open" / "spot", server.home / "open" / "link"):
        assert (await outcomes(write, {"written", "FileChanged"}))["written"]
        assert (await outcomes(append, {"appended", "FileChanged"}))["appended"]
        assert (await outcomes(edit, {"edited", "FileChanged"}))["edited"]
    assert _vault(server) == {"file": "secret", "sub/file": "secret"}
    assert not [path for path in (server.home / "open").iterdir() if path.name.startswith(".")]


async def test_a_swapped_directory_never_leads_changes_astray(server: Sshd, files: RemoteFiles) -> None:
    async def make(number: int) -> str:
        await files.make_directory(f"{OPEN}/spot/a-{number}/b", parents=True, exist_ok=True)
        return "made"

    async def move(number: int) -> str:
        with contextlib.suppress(FairleadError):
            await files.write_file(f"{OPEN}/source", b"x")
        await files.move(f"{OPEN}/source", f"{OPEN}/spot/moved", overwrite=True)
        return "moved"

    async def steal(_: int) -> str:
        await files.move(f"{OPEN}/spot/file", f"{OPEN}/stolen", overwrite=True)
        await files.write_file(f"{OPEN}/spot/file", b"public")
        return "moved"

    with swapping(server.home / "open" / "spot", server.home / "open" / "link"):
        assert (await outcomes(make, {"made", "FileChanged"}))["made"]
        assert (await outcomes(move, {"moved", "FileChanged"}))["moved"]
        await outcomes(steal, {"moved", "FileChanged"})
    assert _vault(server) == {"file": "secret", "sub/file": "secret"}
    assert (server.home / "open" / "stolen").read_text() == "public"


async def test_a_swapped_directory_never_lets_a_closed_one_be_emptied(server: Sshd, files: RemoteFiles) -> None:
    async def delete(number: int) -> str:
        with contextlib.suppress(FairleadError):
            await files.write_file(f"{OPEN}/spot/sub/more/deep-{number}", b"x", create_parents=True)
        await files.delete(f"{OPEN}/spot/sub", recursive=True)
        return "deleted"

    with swapping(server.home / "open" / "spot", server.home / "open" / "link"):
        seen = await outcomes(delete, {"deleted", "FileChanged"})
    assert seen["deleted"]
    assert _vault(server) == {"file": "secret", "sub/file": "secret"}


async def test_a_swapped_directory_never_shows_what_is_in_a_closed_one(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "vault" / "hidden-name").write_text("secret")

    async def names(_: int) -> str:
        listing = await files.list_directory(OPEN, limit=100, depth=3)
        return "leaked" if any("hidden-name" in entry.path for entry in listing.entries) else "listed"

    async def search(_: int) -> str:
        async with files.searching(OPEN, depth=5) as (search, _top):
            pattern = compiled("secret|public", literal=False, ignore_case=False)
            await search.search(Query(pattern, Filter(), 0, 100, 1000), seconds=30)
            texts = [line.text for lines in search.found.lines.values() for line in lines]
        return "leaked" if b"secret" in texts else f"{len(texts)} found"

    with swapping(server.home / "open" / "spot", server.home / "open" / "link"):
        listed = await _some(names, 150)
        searched = await _some(search, 100)
    assert "leaked" not in listed
    assert listed["listed"] > 100
    assert "leaked" not in searched
    assert searched["2 found"]


def _vault(server: Sshd) -> dict[str, str]:
    vault = server.home / "vault"
    return {str(path.relative_to(vault)): path.read_text() for path in vault.rglob("*") if path.is_file()}


async def _some(attempt: Callable[[int], Awaitable[str]], tries: int) -> Counter[str]:
    seen: Counter[str] = Counter()
    for number in range(tries):
        try:
            seen[await attempt(number)] += 1
        except FairleadError as error:
            seen[type(error).__name__] += 1
    return seen
