import asyncio
import hashlib
import os
from pathlib import Path

import psutil
import pytest

from fairlead_sidecar.errors import ConnectionLost, FileError
from fairlead_sidecar.ssh.files import FileType, RemoteFiles
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    return sshd_factory(username="deploy")


@pytest.fixture
async def link(server: Sshd, start_link: StartLink) -> RunningLink:
    return start_link(server.sidecar_config())


@pytest.fixture
def files(link: RunningLink) -> RemoteFiles:
    return RemoteFiles(link.link)


EVERY_BYTE = bytes(range(256)) * 5000


async def test_what_is_written_is_read_back_to_the_byte(server: Sshd, files: RemoteFiles) -> None:
    written = await files.write_file("data", EVERY_BYTE)
    digest = hashlib.sha256(EVERY_BYTE).hexdigest()
    assert (written.path, written.size, written.sha256) == ("/home/deploy/data", len(EVERY_BYTE), digest)
    assert (server.home / "data").read_bytes() == EVERY_BYTE
    content = await files.read_file("/home/deploy/data", max_bytes=10_000_000)
    assert (content.data, content.size, content.offset, content.eof) == (EVERY_BYTE, len(EVERY_BYTE), 0, True)


async def test_a_file_is_read_in_pieces(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "data").write_bytes(EVERY_BYTE)
    data, offset, eof = b"", 0, False
    while not eof:
        piece = await files.read_file("~/data", offset=offset, max_bytes=300_000)
        data, offset, eof = data + piece.data, offset + len(piece.data), piece.eof
    assert data == EVERY_BYTE
    assert (await files.read_file("data", offset=10_000_000, max_bytes=10)).data == b""


async def test_a_generated_file_is_read_whole(files: RemoteFiles) -> None:
    content = await files.read_file("/proc/cpuinfo", max_bytes=1_000_000)
    assert content.data.startswith(b"processor")
    assert content.data.count(b"processor\t") == psutil.cpu_count()
    assert content.eof


async def test_an_empty_file_is_written(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("empty", b"")
    assert (server.home / "empty").read_bytes() == b""


async def test_a_replaced_file_keeps_its_mode(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("script", b"1")
    (server.home / "script").chmod(0o751)
    assert (await files.write_file("script", b"2")).mode == 0o751
    assert (await files.write_file("script", b"3", mode=0o600)).mode == 0o600
    assert (server.home / "script").read_bytes() == b"3"


async def test_a_new_file_gets_the_mode_of_the_umask_or_the_given_one(server: Sshd, files: RemoteFiles) -> None:
    assert (await files.write_file("plain", b"")).mode == 0o644
    assert (await files.write_file("secret", b"", mode=0o600)).mode == 0o600


async def test_a_replacement_by_root_keeps_the_owner(sshd: Sshd, start_link: StartLink) -> None:
    file = sshd.home / "theirs"
    file.write_text("old")
    os.chown(file, 12345, 23456)
    await RemoteFiles(start_link(sshd.sidecar_config()).link).write_file("theirs", b"new")
    assert (file.read_bytes(), file.stat().st_uid, file.stat().st_gid) == (b"new", 12345, 23456)


async def test_a_file_of_another_owner_is_not_taken_away(server: Sshd, files: RemoteFiles) -> None:
    file = server.home / "theirs"
    file.write_text("old")
    file.chmod(0o666)
    with pytest.raises(FileError, match="belongs to another user"):
        await files.write_file("theirs", b"new")
    assert file.read_text() == "old"
    assert _names(server) == {".ssh", "theirs"}


async def test_readers_see_the_old_content_or_the_new_one(server: Sshd, files: RemoteFiles) -> None:
    versions = [bytes([n]) * 3_000_000 for n in range(5)]
    await files.write_file("data", versions[0])

    async def write() -> None:
        for version in versions[1:]:
            await files.write_file("data", version)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert (server.home / "data").read_bytes() in versions
        await asyncio.wait({writing}, timeout=0.001)
    await writing


async def test_a_full_disk_is_said_and_leaves_the_old_file(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", mounts=("mount -t tmpfs -o size=1m,mode=1777 tmpfs /mnt",))
    files = RemoteFiles(start_link(server.sidecar_config()).link)
    await files.write_file("/mnt/data", b"old")
    with pytest.raises(FileError, match="no space left on the host"):
        await files.write_file("/mnt/data", b"x" * 5_000_000)
    assert (await files.read_file("/mnt/data", max_bytes=100)).data == b"old"
    assert len((await files.list_directory("/mnt", limit=10)).entries) == 1


async def test_a_cancelled_write_leaves_nothing_behind(server: Sshd, files: RemoteFiles) -> None:
    await files.write_file("data", b"old")
    task = asyncio.create_task(files.write_file("data", b"x" * 200_000_000))
    await eventually(lambda: len(_names(server)) == 3, "the write to begin")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(lambda: _names(server) == {".ssh", "data"}, "the temporary file to go")
    assert (server.home / "data").read_bytes() == b"old"


async def test_links_and_dots_are_followed_on_the_host(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "real").mkdir()
    (server.home / "real" / "file").write_text("x")
    (server.home / "link").symlink_to("real")
    (server.home / "out").symlink_to("/etc")
    (server.home / "dangling").symlink_to("/etc/not-there-yet")
    home = "/home/deploy"
    assert await files.realpath("link/../link/file") == f"{home}/real/file"
    assert await files.realpath("link/new") == f"{home}/real/new"
    assert await files.realpath("out/shadow") == "/etc/shadow"
    assert await files.realpath("dangling") == "/etc/not-there-yet"
    assert await files.realpath("~") == home
    assert await files.realpath("~/./new") == f"{home}/new"
    assert await files.realpath("/../..") == "/"


async def test_writing_through_a_link_replaces_its_target(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "real").mkdir(mode=0o777)
    (server.home / "real").chmod(0o777)
    (server.home / "link").symlink_to("real/file")
    assert (await files.write_file("link", b"x")).path == "/home/deploy/real/file"
    assert (server.home / "link").is_symlink()
    assert (server.home / "real" / "file").read_bytes() == b"x"


async def test_a_directory_is_listed_by_name(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "b").write_bytes(b"12345")
    (server.home / "b").chmod(0o640)
    (server.home / "a").mkdir(mode=0o755)
    (server.home / "c").symlink_to("nowhere")
    os.mkfifo(server.home / "d")
    listing = await files.list_directory(".", limit=100)
    assert [(entry.path, entry.type) for entry in listing.entries] == [
        ("/home/deploy/.ssh", FileType.DIRECTORY),
        ("/home/deploy/a", FileType.DIRECTORY),
        ("/home/deploy/b", FileType.FILE),
        ("/home/deploy/c", FileType.SYMLINK),
        ("/home/deploy/d", FileType.OTHER),
    ]
    assert not listing.truncated
    assert (listing.entries[2].size, listing.entries[2].mode) == (5, 0o640)
    assert abs(listing.entries[2].modified.timestamp() - (server.home / "b").stat().st_mtime) < 2


async def test_a_long_directory_gives_its_first_entries_by_name(server: Sshd, files: RemoteFiles) -> None:
    directory = server.home / "many"
    directory.mkdir()
    for n in range(500):
        (directory / f"{n:03}").touch()
    listing = await files.list_directory("many", limit=20)
    assert [Path(entry.path).name for entry in listing.entries] == [f"{n:03}" for n in range(20)]
    assert listing.truncated
    assert not (await files.list_directory("many", limit=500)).truncated


async def test_names_that_are_no_utf8_are_listed_and_read(server: Sshd, files: RemoteFiles) -> None:
    directory = server.home / "d"
    directory.mkdir()
    (directory / os.fsdecode(b"\xff\xfe")).write_text("odd")
    (entry,) = (await files.list_directory("d", limit=10)).entries
    assert (await files.read_file(entry.path, max_bytes=10)).data == b"odd"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing", "missing does not exist"),
        ("missing/file", "The directory of missing/file does not exist"),
        ("/root/secret", "no permission to access /root/secret"),
        (".ssh", ".ssh is a directory"),
        ("pipe", "pipe is no regular file"),
        ("/dev/zero", "/dev/zero is no regular file"),
    ],
)
async def test_what_can_not_be_read_says_why(server: Sshd, files: RemoteFiles, path: str, sentence: str) -> None:
    os.mkfifo(server.home / "pipe")
    with pytest.raises(FileError, match=sentence):
        await files.read_file(path, max_bytes=10)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("missing/file", "The directory of missing/file does not exist"),
        ("/etc/new-file", "no permission to access /etc/new-file"),
        (".ssh", ".ssh is a directory"),
        ("pipe", "pipe is no regular file"),
    ],
)
async def test_what_can_not_be_written_says_why(server: Sshd, files: RemoteFiles, path: str, sentence: str) -> None:
    os.mkfifo(server.home / "pipe")
    with pytest.raises(FileError, match=sentence):
        await files.write_file(path, b"x")


async def test_a_file_is_no_directory(server: Sshd, files: RemoteFiles) -> None:
    (server.home / "file").touch()
    with pytest.raises(FileError, match="file is not a directory"):
        await files.list_directory("file", limit=10)


async def test_files_work_again_after_the_session_broke(server: Sshd, link: RunningLink, files: RemoteFiles) -> None:
    await files.write_file("data", b"1")
    server.drop_connections()
    await eventually(lambda: False in link.counts.connected, "the loss")
    assert (await files.read_file("data", max_bytes=10)).data == b"1"


async def test_a_connection_lost_in_the_middle_is_an_error_with_a_name(server: Sshd, files: RemoteFiles) -> None:
    task = asyncio.create_task(files.write_file("data", b"x" * 200_000_000))
    await eventually(lambda: len(_names(server)) == 2, "the write to begin")
    server.drop_connections()
    with pytest.raises(ConnectionLost) as lost:
        await task
    # The next write removes what that one could not.
    (left,) = _names(server) - {".ssh"}
    assert left in lost.value.hint
    await files.write_file("other", b"1")
    assert _names(server) == {".ssh", "other"}


async def test_a_host_without_sftp_says_so(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", sftp=False)
    link = start_link(server.sidecar_config())
    with pytest.raises(FileError, match="offers no SFTP"):
        await RemoteFiles(link.link).realpath("x")
    assert (await link.run("echo ok")).stdout == b"ok\n"


def _names(server: Sshd) -> set[str]:
    return {entry.name for entry in server.home.iterdir()}
