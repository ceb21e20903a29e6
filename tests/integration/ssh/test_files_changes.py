"""Moving, deleting, making directories, and writing under conditions."""

import asyncio
import contextlib
import hashlib
import re
import shutil
from pathlib import Path

import psutil
import pytest

from fairlead_sidecar.errors import FileChanged, FileError, PolicyDenied
from fairlead_sidecar.ssh.files import Expected, Guard, RemoteFiles
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually

HOME = "/home/deploy"


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    return sshd_factory(username="deploy", mounts=("mount -t tmpfs -o size=1m,mode=1777 tmpfs /mnt",))


@pytest.fixture
async def files(server: Sshd, start_link: StartLink) -> RemoteFiles:
    return RemoteFiles(start_link(server.sidecar_config()).link, timeout=60)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- writing under conditions ---


async def test_a_file_is_replaced_only_if_it_is_what_it_was_taken_for(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("data", b"one")
    await files.write_file("data", b"two", expected=Expected(sha256(b"one")))
    with pytest.raises(FileChanged, match="holds something else by now"):
        await files.write_file("data", b"three", expected=Expected(sha256(b"one")))
    with pytest.raises(FileChanged):
        await files.write_file("missing", b"three", expected=Expected(sha256(b"one")))
    assert (server.home / "data").read_bytes() == b"two"
    assert _names(server) == {".ssh", "data"}


async def test_a_file_that_must_be_absent_is_never_overwritten(server: Sshd, files: RemoteFiles) -> None:
    results = await asyncio.gather(
        *(files.write_file("new", b"%d" % n, expected=Expected(absent=True)) for n in range(8)),
        return_exceptions=True,
    )
    (winner,) = [n for n, result in enumerate(results) if not isinstance(result, BaseException)]
    assert all(isinstance(result, FileChanged) for n, result in enumerate(results) if n != winner)
    assert (server.home / "new").read_bytes() == b"%d" % winner
    assert _names(server) == {".ssh", "new"}


async def test_an_edit_that_another_one_overtook_is_given_up(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("data", b"old")

    def change(old: bytes) -> bytes:
        (server.home / "data").write_bytes(b"somebody else's")
        return old + b" new"

    with pytest.raises(FileChanged):
        await files.edit_file("data", change)
    assert (server.home / "data").read_bytes() == b"somebody else's"
    assert _names(server) == {".ssh", "data"}


async def test_an_edit_keeps_the_mode_and_gives_old_and_new(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("data", b"old", mode=0o751)
    old, written = await files.edit_file("data", lambda _: b"new", expected=Expected(sha256(b"old")))
    assert (old, written.mode, written.sha256) == (b"old", 0o751, sha256(b"new"))
    assert (server.home / "data").read_bytes() == b"new"
    with pytest.raises(FileError, match="missing does not exist"):
        await files.edit_file("missing", lambda old: old)


async def test_appending_prolongs_a_file_in_place_or_creates_it(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "log").write_bytes(b"one\n")
    shutil.chown(server.home / "log", 59_000, 59_000)
    inode = (server.home / "log").stat().st_ino
    written = await files.write_file("log", b"two\n", append=True, mode=0o600)
    assert (written.size, written.mode, written.sha256) == (8, 0o600, sha256(b"one\ntwo\n"))
    assert ((server.home / "log").read_bytes(), (server.home / "log").stat().st_ino) == (b"one\ntwo\n", inode)
    assert (await files.write_file("other", b"1", append=True, mode=0o640)).mode == 0o640


async def test_missing_directories_are_made_and_taken_back_on_failure(server: Sshd, files: RemoteFiles) -> None:
    assert (await files.write_file("a/b/c", b"x", create_parents=True)).path == f"{HOME}/a/b/c"
    with pytest.raises(FileChanged):
        await files.write_file("d/e/f", b"x", create_parents=True, expected=Expected("0" * 64))
    assert _names(server) == {".ssh", "a"}
    with pytest.raises(FileError, match="not a directory"):
        await files.write_file("a/b/c/d/e", b"x", create_parents=True)


@pytest.mark.parametrize("append", [False, True])
async def test_a_full_disk_leaves_what_was_there(server: Sshd, files: RemoteFiles, append: bool) -> None:
    await files.write_file("/mnt/data", b"old")
    with pytest.raises(FileError, match="no space left on the host"):
        await files.write_file("/mnt/data", b"x" * 3_000_000, append=append)
    assert (await files.read_file("/mnt/data", max_bytes=10)).data == b"old"
    assert [entry.path for entry in (await files.list_directory("/mnt", limit=9)).entries] == ["/mnt/data"]


async def test_calls_that_are_cancelled_leave_no_file_open(server: Sshd, start_link: StartLink) -> None:
    def only_home(path: str) -> None:
        if not path.startswith(HOME):
            raise PolicyDenied("closed")

    files = RemoteFiles(start_link(server.sidecar_config()).link, Guard(only_home))
    await files.write_file("a/file", b"x" * 100, create_parents=True)
    for turn in range(60):
        works = [
            asyncio.create_task(files.read_file("a/file", max_bytes=10)),
            asyncio.create_task(files.write_file(f"a/{turn % 3}", b"x")),
            asyncio.create_task(files.list_directory(".", limit=10, depth=3)),
            asyncio.create_task(files.edit_file("a/file", lambda old: old + b"y")),
        ]
        await asyncio.wait(works, timeout=turn * 0.0007)
        for work in works:
            work.cancel()
        await asyncio.wait(works)

    def open_files() -> list[str]:
        found = []
        for process in server.connection_processes():
            with contextlib.suppress(psutil.Error, OSError):
                found += [str(fd.readlink()) for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        return [name for name in found if name.startswith(HOME)]

    await eventually(lambda: not open_files(), "all files to be closed")
    assert {path.name for path in (server.home / "a").iterdir()} <= {"file", "0", "1", "2"}


async def test_a_read_only_file_system_is_named(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", mounts=("mount -t tmpfs -o ro,mode=1777 tmpfs /mnt",))
    files = RemoteFiles(start_link(server.sidecar_config()).link)
    for work in (
        files.write_file("/mnt/data", b"x"),
        files.make_directory("/mnt/new", parents=False, exist_ok=False),
    ):
        with pytest.raises(FileError, match="read-only file system"):
            await work


async def test_a_limit_of_the_file_size_is_taken_for_no_full_disk(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", mounts=("ulimit -f 2048", "trap '' XFSZ"))
    files = RemoteFiles(start_link(server.sidecar_config()).link)
    await files.write_file("data", b"old")
    with pytest.raises(FileError, match="could not write /home/deploy/data") as refused:
        await files.write_file("data", b"x" * 4_000_000)
    assert "limit of the file size" in refused.value.hint
    assert (server.home / "data").read_bytes() == b"old"
    assert _names(server) == {".ssh", "data"}


# --- moving ---


async def test_files_directories_and_links_are_moved(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("a/file", b"x", create_parents=True)
    (server.home / "link").symlink_to("a/file")
    assert await files.move("a/file", "b", overwrite=False) == (f"{HOME}/a/file", f"{HOME}/b")
    await files.move("a", "c", overwrite=False)
    await files.move("link", "c/moved", overwrite=False)
    assert (server.home / "b").read_bytes() == b"x"
    assert (server.home / "c" / "moved").readlink() == Path("a/file")


async def test_a_move_overwrites_only_when_asked(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("a", b"a")
    await files.write_file("b", b"b")
    await files.make_directory("d", parents=False, exist_ok=False)
    for target in ("b", "d"):
        with pytest.raises(FileChanged, match="exists already"):
            await files.move("a", target, overwrite=False)
    assert (server.home / "b").read_bytes() == b"b"
    await files.move("a", "b", overwrite=True)
    assert (server.home / "b").read_bytes() == b"a"
    with pytest.raises(FileError, match="only an empty directory"):
        await files.move("b", "d", overwrite=True)


async def test_a_file_of_another_owner_is_moved_within_ones_own_directory(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "theirs").write_text("x")
    (server.home / "theirs").chmod(0o600)
    await files.move("theirs", "mine", overwrite=False)
    assert (server.home / "mine").read_text() == "x"


@pytest.mark.parametrize(
    ("source", "target", "sentence"),
    [
        ("file", "/mnt/file", "different file systems"),
        ("d", "d/sub", "can't be moved to"),
        ("missing", "x", "missing does not exist"),
        ("file", "missing/x", "The directory of /home/deploy/missing/x does not exist"),
        ("file", "locked/x", "no permission"),
        ("file", "/etc/x", "different mounts|no permission"),
        (".", "x", "home or above it"),
        ("/home", "/tmp/x", "home or above it"),
    ],
)
async def test_what_can_not_be_moved_says_why(
    server: Sshd, files: RemoteFiles, source: str, target: str, sentence: str
) -> None:
    await files.write_file("file", b"x")
    await files.make_directory("d", parents=False, exist_ok=False)
    (server.home / "locked").mkdir()
    with pytest.raises(FileError) as refused:
        await files.move(source, target, overwrite=False)
    assert re.search(sentence, f"{refused.value.message} {refused.value.hint}")
    assert _names(server) == {".ssh", "file", "d", "locked"}


# --- deleting ---


async def test_deleting_takes_a_link_and_never_what_it_points_to(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("kept/file", b"x", create_parents=True)
    (server.home / "link").symlink_to("kept")
    assert await files.delete("link", recursive=True) == (f"{HOME}/link", 1)
    await files.make_directory("tree/sub", parents=True, exist_ok=False)
    (server.home / "tree" / "sub" / "link").symlink_to("../../kept")
    assert await files.delete("tree", recursive=True) == (f"{HOME}/tree", 3)
    assert (server.home / "kept" / "file").read_bytes() == b"x"
    assert _names(server) == {".ssh", "kept"}


async def test_a_directory_with_entries_goes_only_when_asked(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("tree/sub/file", b"x", create_parents=True)
    with pytest.raises(FileError, match="tree is not empty; nothing was deleted"):
        await files.delete("tree", recursive=False)
    assert (await files.delete("tree/sub/file", recursive=False))[1] == 1
    assert (await files.delete("tree/sub", recursive=False))[1] == 1
    assert (await files.delete("tree", recursive=True))[1] == 1


async def test_a_directory_with_too_much_in_it_is_left_as_it_is(server: Sshd, files: RemoteFiles) -> None:
    directory = server.home / "many"
    directory.mkdir()
    for n in range(10_001):
        (directory / f"{n}").touch()
    with pytest.raises(FileError, match="more than 10000 entries; nothing was deleted"):
        await files.delete("many", recursive=True)
    assert len(list(directory.iterdir())) == 10_001


async def test_a_deletion_that_stops_half_way_says_how_far_it_came(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("tree/a", b"x", create_parents=True)
    (server.home / "tree" / "z").mkdir()
    (server.home / "tree" / "z" / "foreign").touch()
    (server.home / "tree" / "z").chmod(0o755)
    with pytest.raises(FileError, match="deleted in part only, 1 entries"):
        await files.delete("tree", recursive=True)


@pytest.mark.parametrize("path", ["/", "~", ".", "..", "/home", "/home/deploy/", "d/.."])
async def test_the_root_and_the_home_are_never_deleted(server: Sshd, files: RemoteFiles, path: str) -> None:
    await files.make_directory("d", parents=False, exist_ok=False)
    with pytest.raises(FileError, match="home or above it"):
        await files.delete(path, recursive=True)
    assert _names(server) == {".ssh", "d"}


async def test_a_directory_at_which_the_policy_begins_is_never_deleted(server: Sshd, start_link: StartLink) -> None:
    def only_srv(path: str) -> None:
        if not f"{path}/".startswith(f"{HOME}/srv/"):
            raise PolicyDenied("closed")

    files = RemoteFiles(start_link(server.sidecar_config()).link, Guard(only_srv))
    (server.home / "srv").mkdir()
    for change in (files.delete("srv", recursive=True), files.move("srv", "srv/x", overwrite=True)):
        with pytest.raises(FileError, match="policy begins"):
            await change
    with pytest.raises(PolicyDenied):
        await files.delete(".ssh", recursive=True)


# --- directories ---


async def test_directories_are_made_with_their_parents_and_mode(server: Sshd, files: RemoteFiles) -> None:
    assert await files.make_directory("a", parents=False, exist_ok=False, mode=0o2770) == (f"{HOME}/a", True, 0o2770)
    assert await files.make_directory("b/c", parents=True, exist_ok=False) == (f"{HOME}/b/c", True, 0o755)
    assert await files.make_directory("b/c", parents=False, exist_ok=True, mode=0o700) == (f"{HOME}/b/c", False, 0o755)
    with pytest.raises(FileChanged, match="exists already"):
        await files.make_directory("b", parents=True, exist_ok=False)
    with pytest.raises(FileError, match="The directory of /home/deploy/x/y does not exist"):
        await files.make_directory("x/y", parents=False, exist_ok=False)
    await files.write_file("file", b"")
    with pytest.raises(FileError, match="file is not a directory"):
        await files.make_directory("file", parents=True, exist_ok=True)


# --- servers without /proc ---


async def test_all_of_it_works_where_the_server_has_no_proc(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", mounts=("mount -t tmpfs tmpfs /proc",))

    def only_home(path: str) -> None:
        if not path.startswith(HOME):
            raise PolicyDenied("closed")

    files = RemoteFiles(start_link(server.sidecar_config()).link, Guard(only_home), timeout=60)
    await files.write_file("a/file", b"one\n", create_parents=True)
    await files.write_file("a/file", b"two\n", append=True)
    await files.edit_file("a/file", lambda old: old + b"three\n")
    assert (await files.read_file("a/file", max_bytes=100)).data == b"one\ntwo\nthree\n"
    await files.move("a/file", "b", overwrite=False)
    assert [entry.path for entry in (await files.list_directory(".", limit=9)).entries] == [
        f"{HOME}/.ssh",
        f"{HOME}/a",
        f"{HOME}/b",
    ]
    assert (await files.delete("a", recursive=True))[1] == 1
    (server.home / "out").symlink_to("/etc")
    for work in (
        files.read_file("out/passwd", max_bytes=9),
        files.write_file("out/x", b""),
        files.delete("/etc/x", recursive=True),
    ):
        with pytest.raises(PolicyDenied):
            await work


def _names(server: Sshd) -> set[str]:
    return {entry.name for entry in server.home.iterdir()}
