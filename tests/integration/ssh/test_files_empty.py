"""Files in which there is nothing, and files that only say so."""

import hashlib

import pytest

from fairlead_sidecar.errors import FileChanged
from fairlead_sidecar.ssh.files import Expected, RemoteFiles
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd

NOTHING = hashlib.sha256(b"").hexdigest()


@pytest.fixture
async def files(account_sshd: Sshd, start_link: StartLink) -> RemoteFiles:
    return RemoteFiles(start_link(account_sshd.sidecar_config()).link)


async def test_an_empty_file_has_a_hash_by_which_a_change_is_guarded(account_sshd: Sshd, files: RemoteFiles) -> None:
    await files.write_file("empty", b"")
    for content in (
        await files.read_file("empty", max_bytes=10),
        await files.read_lines("empty", start=1, count=5, max_bytes=10),
    ):
        assert (content.data, content.size, content.eof, content.sha256) == (b"", 0, True, NOTHING)
    await files.write_file("empty", b"one", expected=Expected(NOTHING))
    with pytest.raises(FileChanged):
        await files.write_file("empty", b"two", expected=Expected(NOTHING))


async def test_a_generated_file_that_says_it_is_empty_has_none(files: RemoteFiles) -> None:
    content = await files.read_file("/proc/version", max_bytes=1000)
    assert content.data.startswith(b"Linux")
    assert (content.size, content.eof, content.sha256) == (0, True, None)
