"""Listing, finding and searching below directories."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from posixpath import relpath

import asyncssh
import pytest

from fairlead_sidecar.errors import CommandTimedOut, FileError, PolicyDenied
from fairlead_sidecar.ssh.files import FileType, Guard, RemoteFiles, searching, walking
from fairlead_sidecar.ssh.files.matching import Filter, compiled
from fairlead_sidecar.ssh.files.searching import Query
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory

HOME = "/home/deploy"


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    server = sshd_factory(username="deploy")
    tree = server.home / "tree"
    for path, content in {
        "a.log": "one\nTwo needle\nthree\n",
        "b.txt": "needle\n",
        ".hidden": "needle\n",
        "sub/c.log": "nothing\n",
        "sub/deep/d.log": "x\n" * 50 + "the needle\n" + "y\n" * 50,
        "sub/binary": "needle\0",
    }.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(content)
    (tree / "out").symlink_to("/etc")
    return server


@pytest.fixture
async def link(server: Sshd, start_link: StartLink) -> RunningLink:
    return start_link(server.sidecar_config())


@pytest.fixture
def files(link: RunningLink) -> RemoteFiles:
    return RemoteFiles(link.link, timeout=60)


def needle(limit: int = 100, *, context: int = 0, glob: str | None = None, size: int = 10_000) -> Query:
    pattern = compiled("needle", literal=True, ignore_case=False)
    return Query(pattern, Filter(glob=glob), context, limit, size)


async def found(
    files: RemoteFiles, wanted: Filter, *, path: str = "tree", limit: int = 100, depth: int = 9
) -> list[str]:
    """Names of what is found, relative to the directory."""
    async with files.searching(path, depth=depth) as (search, top):
        await search.find(wanted, limit=limit, seconds=30)
        return [relpath(info.path, top) for info in search.found.entries]


@contextlib.asynccontextmanager
async def searched(files: RemoteFiles, query: Query, path: str = "tree") -> AsyncIterator[searching.Found]:
    async with files.searching(path, depth=9) as (search, _):
        await search.search(query, seconds=30)
        yield search.found


async def test_a_tree_is_listed_level_by_level_without_following_links(files: RemoteFiles) -> None:
    listing = await files.list_directory("tree", limit=100, depth=9)
    names = [relpath(entry.path, listing.path) for entry in listing.entries]
    assert names == [
        ".hidden",
        "a.log",
        "b.txt",
        "out",
        "sub",
        "sub/binary",
        "sub/c.log",
        "sub/deep",
        "sub/deep/d.log",
    ]
    (out,) = [entry for entry in listing.entries if entry.path.endswith("/out")]
    assert (out.type, out.target) == (FileType.SYMLINK, "/etc")
    shallow = await files.list_directory("tree", limit=100, depth=2, hidden=False)
    assert {relpath(entry.path, listing.path) for entry in shallow.entries} == set(names) - {
        ".hidden",
        "sub/deep/d.log",
    }
    cut = await files.list_directory("tree", limit=3, depth=9)
    assert ([Path(entry.path).name for entry in cut.entries], cut.truncated) == ([".hidden", "a.log", "b.txt"], True)


async def test_a_path_is_described_whatever_is_there(server: Sshd, files: RemoteFiles) -> None:
    info, leads = await files.stat("tree/a.log")
    assert info is not None
    assert (info.type, info.size, info.uid, leads) == (FileType.FILE, 21, 0, f"{HOME}/tree/a.log")
    info, leads = await files.stat("tree/out")
    assert info is not None
    assert (info.type, info.target, leads) == (FileType.SYMLINK, "/etc", "/etc")
    for missing in ("tree/missing", "missing/deep/x", "tree/a.log/x"):
        assert await files.stat(missing) == (None, None)
    (server.home / "loop").symlink_to("loop")
    info, leads = await files.stat("loop")
    assert info is not None
    assert (info.type, leads) == (FileType.SYMLINK, None)


async def test_where_a_link_leads_is_told_only_to_who_may_read_there(link: RunningLink) -> None:
    def only_tree(path: str) -> None:
        if not f"{path}/".startswith(f"{HOME}/tree/"):
            raise PolicyDenied("closed")

    files = RemoteFiles(link.link, Guard(only_tree))
    info, leads = await files.stat("tree/out")
    assert info is not None
    assert leads is None
    with pytest.raises(PolicyDenied):
        await files.stat("tree/out/passwd")


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(glob="*.log"), ["a.log", "sub/c.log", "sub/deep/d.log"]),
        (Filter(glob="sub/*.log"), ["sub/c.log"]),
        (Filter(glob="sub/**"), ["sub/binary", "sub/c.log", "sub/deep", "sub/deep/d.log"]),
        (Filter(type=FileType.DIRECTORY), ["sub", "sub/deep"]),
        (Filter(type=FileType.SYMLINK), ["out"]),
        (Filter(type=FileType.FILE, min_size=100), ["sub/deep/d.log"]),
        (Filter(type=FileType.FILE, max_size=7), [".hidden", "b.txt", "sub/binary"]),
        (Filter(glob="*.log", modified_before=datetime(2001, 1, 1, tzinfo=UTC)), []),
    ],
)
async def test_entries_are_found_by_what_they_are(files: RemoteFiles, wanted: Filter, names: list[str]) -> None:
    assert await found(files, wanted) == names


async def test_old_files_are_found_by_time(server: Sshd, files: RemoteFiles) -> None:
    os.utime(server.home / "tree" / "a.log", (10**9, 10**9))
    assert await found(files, Filter(modified_before=datetime(2002, 1, 1, tzinfo=UTC))) == ["a.log"]
    assert "a.log" not in await found(files, Filter(modified_after=datetime(2002, 1, 1, tzinfo=UTC)))


async def test_a_search_gives_lines_with_numbers_and_what_it_left_out(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "tree" / "large").write_text("needle\n" * 5000)
    (server.home / "tree" / "closed").write_text("needle\n")
    (server.home / "tree" / "closed").chmod(0o600)
    os.mkfifo(server.home / "tree" / "pipe")
    async with searched(files, needle(context=1)) as result:
        lines = {
            relpath(path, f"{HOME}/tree"): [(line.number, line.text, line.match) for line in lines]
            for path, lines in result.lines.items()
        }
    assert lines == {
        ".hidden": [(1, b"needle", True)],
        "a.log": [(1, b"one", False), (2, b"Two needle", True), (3, b"three", False)],
        "b.txt": [(1, b"needle", True)],
        "sub/deep/d.log": [(50, b"x", False), (51, b"the needle", True), (52, b"y", False)],
    }
    assert (result.matches, result.searched, result.binary, result.large, result.unreadable) == (4, 5, 1, 1, 1)
    assert result.incomplete is None


async def test_a_search_ends_at_its_limit_and_says_so(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "tree" / "many").write_text("needle\n" * 500)
    async with searched(files, needle(7, glob="many")) as result:
        assert (result.matches, result.incomplete) == (7, "limit")
    async with searched(files, needle(500, glob="many")) as result:
        assert (result.matches, result.incomplete) == (500, None)
    async with searched(files, needle(), "tree/b.txt") as result:
        assert result.matches == 1
    assert len(await found(files, Filter(), limit=3)) == 3


async def test_what_the_policy_closes_is_not_searched(link: RunningLink) -> None:
    def no_sub(path: str) -> None:
        if not f"{path}/".startswith(f"{HOME}/tree/") or f"{path}/".startswith(f"{HOME}/tree/sub/"):
            raise PolicyDenied("closed")

    files = RemoteFiles(link.link, Guard(no_sub))
    assert await found(files, Filter(glob="*.log")) == ["a.log"]
    async with searched(files, needle()) as result:
        assert {Path(path).name for path in result.lines} == {"a.log", "b.txt", ".hidden"}
    with pytest.raises(PolicyDenied):
        await found(files, Filter(), path="tree/sub")
    with pytest.raises(PolicyDenied):
        await found(files, Filter(), path="tree/out")


async def test_generated_files_are_searched_only_by_name(files: RemoteFiles) -> None:
    """Some of them, such as /proc/kmsg, give nothing until something happens, and hold the session up meanwhile."""
    async with searched(
        files, Query(compiled("^Name:", literal=False, ignore_case=False), Filter(), 0, 9, 9999), "/proc/self"
    ) as result:
        assert (result.searched, result.matches) == (0, 0)
    async with searched(
        files, Query(compiled("^Name:", literal=False, ignore_case=False), Filter(), 0, 9, 9999), "/proc/self/status"
    ) as result:
        assert (result.searched, result.matches) == (1, 1)
    assert await found(files, Filter(glob="/proc/*"), path="/", depth=2, limit=5000) == []


async def test_what_is_no_directory_can_not_be_walked(files: RemoteFiles) -> None:
    with pytest.raises(FileError, match="is not a directory"):
        await found(files, Filter(), path="tree/a.log")
    with pytest.raises(FileError, match="missing does not exist"):
        await found(files, Filter(), path="missing")


async def test_a_huge_directory_is_looked_at_up_to_a_bound(
    server: Sshd, files: RemoteFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walking, "MAX_SCANNED", 3000)
    directory = server.home / "huge"
    directory.mkdir()
    for n in range(4000):
        (directory / f"{n:06}").touch()
    listing = await files.list_directory("huge", limit=10)
    assert (len(listing.entries), listing.truncated) == (10, True)
    async with files.searching("huge", depth=9) as (search, _):
        await search.find(Filter(glob="no-such"), limit=10, seconds=60)
        assert (search.found.entries, search.found.incomplete) == ([], "entries")


async def test_a_search_past_its_time_gives_what_it_has(server: Sshd, files: RemoteFiles) -> None:
    async with files.searching("tree", depth=9) as (search, _):
        server.freeze()
        try:
            await search.find(Filter(), limit=100, seconds=0.3)
        finally:
            server.thaw()
        assert search.found.incomplete == "time"


async def test_an_operation_past_its_deadline_is_an_error_with_a_name(server: Sshd, link: RunningLink) -> None:
    files = RemoteFiles(link.link, timeout=0.5)
    await RemoteFiles(link.link).realpath(".")
    server.freeze()
    try:
        with pytest.raises(CommandTimedOut, match="did not finish with tree within"):
            await files.list_directory("tree", limit=10)
    finally:
        server.thaw()
    assert (await RemoteFiles(link.link, timeout=60).list_directory("tree", limit=10)).entries


async def test_names_of_any_bytes_are_found_and_used(server: Sshd, files: RemoteFiles) -> None:
    directory = server.home / "odd"
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    names = [os.fsdecode(b"\xff\xfe"), "\x1b[31m", "a\nb", "\u202ereversed", "\\x{ff}", "x" * 255]
    for name in names:
        (directory / name).write_text("needle\n")
        (directory / name).chmod(0o666)
    async with searched(files, needle(), "odd") as result:
        assert {Path(path).name for path in result.lines} == set(names)
        paths = list(result.lines)
    for path in paths:
        assert (await files.read_file(path, max_bytes=10)).data == b"needle\n"
        await files.delete(path, recursive=False)
    with pytest.raises(FileError, match="takes no such path"):
        await files.write_file("odd/" + "y" * 256, b"")


async def test_a_file_that_grows_is_read_as_far_as_it_was(server: Sshd, files: RemoteFiles) -> None:
    log = server.home / "log"
    log.write_bytes(b"line\n")
    stop = asyncio.Event()

    async def grow() -> None:
        with log.open("ab", buffering=0) as file:
            while not stop.is_set():
                file.write(b"line\n" * 20)
                await asyncio.sleep(0)

    growing = asyncio.create_task(grow())
    try:
        for _ in range(30):
            piece = await files.read_file("log", max_bytes=1_000_000)
            assert piece.data.startswith(b"line\n")
            assert piece.data.replace(b"line\n", b"") in (b"", b"l", b"li", b"lin", b"line")
    finally:
        stop.set()
        await growing


async def test_lines_are_read_from_the_middle_of_a_large_file(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "large").write_bytes(b"".join(b"line %d\n" % n for n in range(1, 700_001)))
    piece = await files.read_lines("large", start=650_000, count=3, max_bytes=1000)
    assert (piece.data, piece.line, piece.eof) == (b"line 650000\nline 650001\nline 650002\n", 650_000, False)
    assert (await files.read_file("large", offset=piece.offset, max_bytes=11)).data == b"line 650000"
    piece = await files.read_lines("large", start=699_999, count=100, max_bytes=1000)
    assert (piece.data, piece.eof) == (b"line 699999\nline 700000\n", True)
    piece = await files.read_lines("large", start=800_000, count=100, max_bytes=1000)
    assert (piece.data, piece.eof) == (b"", True)
    cut = await files.read_lines("large", start=1, count=100, max_bytes=10)
    assert (cut.data, cut.eof) == (b"line 1\nlin", False)
    generated = await files.read_lines("/proc/self/status", start=1, count=1, max_bytes=100)
    assert generated.data.startswith(b"Name:")


async def test_a_pipe_in_the_place_of_a_file_does_not_stop_other_files(server: Sshd, link: RunningLink) -> None:
    """Between the look at it and its opening a file can become a pipe, whose opening blocks the server's session."""
    files, quick = RemoteFiles(link.link, timeout=60), RemoteFiles(link.link, timeout=0.5)
    (server.home / "other").write_text("x")
    (server.home / "spot").write_text("x")
    async with link.link.sftp() as client:
        real, looks = client.lstat, 0

        async def lstat(path: str) -> asyncssh.SFTPAttrs:
            nonlocal looks
            attributes = await real(path)
            looks += path.endswith("/spot")
            if looks == 2:
                # The first look resolved the path, the second one is the last before it is opened.
                client.lstat = real  # type: ignore[method-assign]  # to act between two looks
                (server.home / "spot").unlink()
                os.mkfifo(server.home / "spot")
                (server.home / "spot").chmod(0o666)
            return attributes

        client.lstat = lstat  # type: ignore[method-assign,assignment]  # as above
    with pytest.raises(CommandTimedOut):
        await quick.read_file("spot", max_bytes=10)
    assert (await files.read_file("other", max_bytes=10)).data == b"x"
