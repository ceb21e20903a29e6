"""What is kept of commands' output, for how long, and at whose expense."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_sidecar.tools import spool as spools
from fairlead_sidecar.tools.spool import Spool


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def spool(tmp_path: Path, clock: Clock) -> Iterator[Spool]:
    spool = Spool(clock)
    spool.directory = tmp_path
    yield spool
    spool.close()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spools, "CALL_BYTES", 1000)
    monkeypatch.setattr(spools, "TOTAL_BYTES", 2500)
    monkeypatch.setattr(spools, "MEMORY_BYTES", 100)
    monkeypatch.setattr(spools, "ENTRIES", 5)


def open_files(directory: Path) -> list[tuple[str, int]]:
    """Where this process's open files lie that are in `directory`, and their modes."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = str(descriptor.readlink())
            if target.startswith(f"{directory}/"):
                found.append((target, descriptor.stat().st_mode & 0o777))
    return found


def test_each_stream_is_read_as_it_was_written(spool: Spool) -> None:
    entry = spool.open("a")
    whole = os.urandom(300_000)
    for at in range(0, len(whole), 7919):
        entry.write("stdout", whole[at : at + 7919])
        entry.write("stderr", b"x")
        assert entry.read("stdout", at, 3) == whole[at : at + 3]
    assert entry.read("stdout", 1000, 250_000) == whole[1000:251_000]
    assert entry.read("stdout", 299_999, 10) == whole[-1:]
    assert entry.read("stdout", 300_000, 10) == b""
    assert set(entry.read("stderr", 0, 1000)) == {ord("x")}


def test_no_file_ever_has_a_name(spool: Spool, tmp_path: Path) -> None:
    entry = spool.open("a")
    entry.write("stdout", b"x" * 200_000)
    entry.write("stderr", b"x")
    entry.settle()
    assert list(tmp_path.iterdir()) == []
    files = open_files(tmp_path)
    assert len(files) == 2
    assert all("(deleted)" in target and mode == 0o600 for target, mode in files)
    spool.close()
    assert open_files(tmp_path) == []


@pytest.mark.usefixtures("small")
def test_of_a_long_output_the_beginning_is_kept(spool: Spool) -> None:
    entry = spool.open("a")
    entry.write("stderr", b"e" * 300)
    entry.write("stdout", b"o" * 600)
    entry.write("stdout", b"p" * 600)
    entry.write("stdout", b"q")
    entry.write("stderr", b"f")
    assert entry.read("stdout", 0, 2000) == b"o" * 600 + b"p" * 100
    assert entry.read("stderr", 0, 2000) == b"e" * 300
    assert entry.total == spool.total == 1000


@pytest.mark.usefixtures("small")
def test_the_oldest_outputs_make_room_for_new_ones(spool: Spool) -> None:
    entries = [spool.open("a") for _ in range(4)]
    for entry in entries:
        entry.write("stdout", b"x" * 800)
    assert [entry.gone for entry in entries] == [True, False, False, False]
    assert spool.total == 2400
    assert entries[0].read("stdout", 0, 10) == b""


@pytest.mark.usefixtures("small")
def test_who_has_most_makes_room_and_nobody_else(spool: Spool) -> None:
    quiet = spool.open("quiet")
    quiet.write("stdout", b"x" * 400)
    loud = [spool.open("loud") for _ in range(9)]
    for entry in loud:
        entry.write("stdout", b"x" * 900)
    assert not quiet.gone
    assert sum(not entry.gone for entry in loud) == 2


@pytest.mark.usefixtures("small")
def test_the_number_of_outputs_is_bounded_too(spool: Spool, tmp_path: Path) -> None:
    entries = [spool.open(f"owner-{number}") for number in range(50)]
    for entry in entries:
        entry.write("stdout", b"x" * 101)
    assert sum(not entry.gone for entry in entries) <= 5
    assert len(open_files(tmp_path)) <= 5


def test_an_output_is_kept_an_hour_from_its_commands_end(spool: Spool, clock: Clock) -> None:
    ended, running = spool.open("a"), spool.open("a")
    for entry in (ended, running):
        entry.write("stdout", b"x")
    clock.now += 10_000
    ended.settle()
    clock.now += 3599
    spool.expire()
    assert not ended.gone
    clock.now += 2
    spool.expire()
    assert ended.gone
    assert not running.gone


def test_a_full_disk_costs_the_copy_and_nothing_else(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spools, "TemporaryFile", full)
    entry = spool.open("a")
    entry.write("stdout", b"x" * 100_000)
    entry.write("stdout", b"x")
    entry.settle()
    assert entry.gone
    assert spool.total == 0


def test_a_directory_that_is_not_there_costs_the_copy_and_nothing_else(spool: Spool, tmp_path: Path) -> None:
    spool.directory = tmp_path / "none"
    entry = spool.open("a")
    entry.write("stdout", b"x" * 200_000)
    assert entry.gone
