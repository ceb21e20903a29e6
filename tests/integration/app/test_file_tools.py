"""The tools for files, through the app, on a real host."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead_sidecar.config import Limits, PathPolicy, Permission, Policy, SecretValue
from tests.integration.app.endpoint import ERAS, RunningEndpoint, running, until
from tests.integration.app.using import use
from tests.integration.sshd import Sshd, SshdFactory

SECRET = "s3cr3t-Value-42"
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def server(sshd_factory: SshdFactory) -> Sshd:
    return sshd_factory(username="deploy")


@pytest.fixture
async def deployed(server: Sshd, tmp_path: Path) -> AsyncIterator[RunningEndpoint]:
    """A sidecar connected as an ordinary account, which masks one value."""
    value = tmp_path / "value"
    value.write_text(SECRET)
    policy = Policy(redact=(SecretValue(file=value, name="app/token"),))
    async with running(server.sidecar_config(policy=policy)) as endpoint:
        yield endpoint


def put(server: Sshd, name: str, content: str) -> Path:
    """A file of the account."""
    path = server.home / name
    path.write_bytes(content.encode())
    shutil.chown(path, 59_000, 59_000)
    return path


@both_eras
async def test_a_file_is_changed_in_part_and_the_change_is_shown(
    deployed: RunningEndpoint, server: Sshd, era: str
) -> None:
    path = put(server, "conf", "\ufeffone\r\ntwo\r\nthree\r\n")
    path.chmod(0o640)
    read = await use(deployed, "read_file", era=era, path="conf")
    edited = await use(
        deployed,
        "edit_file",
        era=era,
        path="conf",
        edits=[{"old": "one\ntwo\n", "new": "1\n2\n"}, {"old": "three", "new": "3"}],
        expected_sha256=read["sha256"],
    )
    content = "\ufeff1\r\n2\r\n3\r\n".encode()
    assert path.read_bytes() == content
    assert edited == {
        "host": "web-01",
        "path": "/home/deploy/conf",
        "diff": edited["diff"],
        "diff_truncated": False,
        "replacements": 2,
        "size": len(content),
        "mode": "0640",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    assert edited["diff"].splitlines()[0] == "--- /home/deploy/conf"
    assert "-two\r" in edited["diff"].split("\n")
    assert "+2\r" in edited["diff"].split("\n")


@pytest.mark.parametrize(
    ("content", "arguments", "code", "says"),
    [
        ("a b a", {"edits": [{"old": "a", "new": "x"}]}, "invalid_request", "occurs 2 times"),
        ("a", {"edits": [{"old": "b", "new": "x"}]}, "invalid_request", "does not occur"),
        ("a", {"edits": [{"old": "a", "new": "b"}, {"old": "a", "new": "x"}]}, "invalid_request", "edit 2"),
        ("a\0", {"edits": [{"old": "a", "new": "x"}]}, "invalid_request", "binary"),
        ("a", {"edits": [{"old": "a", "new": "x"}], "expected_sha256": "0" * 64}, "file_changed", "something else"),
        ("a", {"edits": [{"old": "", "new": "x"}]}, "invalid_request", "edits"),
        ("a", {"edits": []}, "invalid_request", "edits"),
    ],
)
async def test_an_edit_that_is_not_sure_changes_nothing(
    deployed: RunningEndpoint, server: Sshd, content: str, arguments: dict[str, Any], code: str, says: str
) -> None:
    path = put(server, "file", content)
    result = await use(deployed, "edit_file", path="file", **arguments)
    assert (result["code"], says in result["message"]) == (code, True)
    assert path.read_text() == content


async def test_every_occurrence_is_replaced_only_when_asked(deployed: RunningEndpoint, server: Sshd) -> None:
    path = put(server, "file", "a b a")
    result = await use(deployed, "edit_file", path="file", edits=[{"old": "a", "new": "x"}], replace_all=True)
    assert (path.read_text(), result["replacements"]) == ("x b x", 2)


async def test_a_file_is_read_on_by_lines(deployed: RunningEndpoint, server: Sshd) -> None:
    put(server, "log", "".join(f"line {n}\n" for n in range(1, 11)))
    first = await use(deployed, "read_file", path="log", start_line=3, max_lines=2)
    assert (first["content"], first["start_line"], first["next_line"]) == ("line 3\nline 4\n", 3, 5)
    second = await use(deployed, "read_file", path="log", start_line=first["next_line"])
    assert (second["content"][:7], second["next_line"], second["next_offset"]) == ("line 5\n", None, None)
    by_byte = await use(deployed, "read_file", path="log", offset=first["next_offset"], max_bytes=7)
    assert by_byte["content"] == "line 5\n"
    cut = await use(deployed, "read_file", path="log", start_line=1, max_bytes=10)
    assert (cut["content"], cut["next_line"]) == ("line 1\n", 2)
    both = await use(deployed, "read_file", path="log", start_line=1, offset=3)
    assert both["code"] == "invalid_request"


async def test_conditions_guard_a_write(deployed: RunningEndpoint, server: Sshd) -> None:
    written = await use(
        deployed, "write_file", path="a/b/file", content="one", create_parents=True, if_absent=True, mode="0600"
    )
    assert written == {
        "host": "web-01",
        "path": "/home/deploy/a/b/file",
        "size": 3,
        "mode": "0600",
        "sha256": hashlib.sha256(b"one").hexdigest(),
    }
    again = await use(deployed, "write_file", path="a/b/file", content="two", if_absent=True)
    assert again["code"] == "file_changed"
    stale = await use(deployed, "write_file", path="a/b/file", content="two", expected_sha256="0" * 64)
    assert stale["code"] == "file_changed"
    both = await use(deployed, "write_file", path="x", content="", expected_sha256="0" * 64, if_absent=True)
    assert both["code"] == "invalid_request"
    more = await use(
        deployed, "write_file", path="a/b/file", content=" two", append=True, expected_sha256=written["sha256"]
    )
    assert more["sha256"] == hashlib.sha256(b"one two").hexdigest()
    assert (server.home / "a" / "b" / "file").read_text() == "one two"


@both_eras
async def test_things_are_made_moved_described_and_deleted(deployed: RunningEndpoint, server: Sshd, era: str) -> None:
    made = await use(deployed, "make_directory", era=era, path="d/e", parents=True, mode="0750")
    assert made == {"host": "web-01", "path": "/home/deploy/d/e", "created": True, "mode": "0750"}
    put(server, "file", "x")
    moved = await use(deployed, "move_path", era=era, source="file", destination="d/e/file")
    assert moved == {"host": "web-01", "source": "/home/deploy/file", "destination": "/home/deploy/d/e/file"}
    info = await use(deployed, "stat_path", era=era, path="~/d/e/file")
    assert (info["exists"], info["type"], info["size"], info["uid"]) == (True, "file", 1, 59_000)
    listing = await use(deployed, "list_directory", era=era, path="d", depth=5)
    assert [entry["name"] for entry in listing["entries"]] == ["e", "e/file"]
    refused = await use(deployed, "delete_path", era=era, path="d")
    assert (refused["code"], "not empty" in refused["message"]) == ("file_error", True)
    deleted = await use(deployed, "delete_path", era=era, path="d", recursive=True)
    assert deleted == {"host": "web-01", "path": "/home/deploy/d", "deleted": 3}
    gone = await use(deployed, "stat_path", era=era, path="d/e")
    assert (gone["exists"], gone["type"]) == (False, None)


@both_eras
async def test_files_are_found_and_searched(deployed: RunningEndpoint, server: Sshd, era: str) -> None:
    (server.home / "tree").mkdir()
    put(server, "tree/a.py", "import os\n\ndef main():\n    pass  # " + "x" * 1000 + "\n")
    put(server, "tree/b.txt", "def main\n")
    put(server, "tree/c.bin", "def main\0")
    result = await use(deployed, "search_files", era=era, path="tree", pattern=r"^def\s+\w+", glob="*.{py}", context=1)
    assert result["files"] == []
    result = await use(deployed, "search_files", era=era, path="tree", pattern=r"^def\s+\w+|pass", context=1)
    assert [(found["name"], found["lines"][:3]) for found in result["files"]] == [
        ("a.py", ["2-", "3:def main():", result["files"][0]["lines"][2]]),
        ("b.txt", ["1:def main"]),
    ]
    assert len(result["files"][0]["lines"][2]) < 500
    assert (result["matches"], result["searched"], result["skipped_binary"], result["incomplete"]) == (3, 2, 1, None)
    literal = await use(
        deployed, "search_files", era=era, path="tree/a.py", pattern="MAIN()", literal=True, ignore_case=True
    )
    assert literal["files"] == [{"name": ".", "lines": ["3:def main():"]}]
    found = await use(deployed, "find_files", era=era, path="tree", glob="*.py", modified_after="2020-01-01T00:00:00Z")
    assert [(entry["name"], entry["type"]) for entry in found["entries"]] == [("a.py", "file")]
    bad = await use(deployed, "search_files", era=era, path="tree", pattern="(")
    assert (bad["code"], "RE2" in bad["message"]) == ("invalid_request", True)


async def test_names_of_any_bytes_come_back_as_they_were_given(deployed: RunningEndpoint, server: Sshd) -> None:
    (server.home / "odd").mkdir()
    for name in (b"\xff\xfe", b"a\nb", "\u202e\x1b[31m".encode(), b"\\x{ff}"):
        path = server.home / "odd" / os.fsdecode(name)
        path.write_text("odd")
    listing = await use(deployed, "list_directory", path="odd")
    names = [entry["name"] for entry in listing["entries"]]
    assert set(names) == {"\\x{ff}\\x{fe}", "a\nb", "\u202e\x1b[31m", "\\x{5c}x{ff}"}
    for name in names:
        read = await use(deployed, "read_file", path=f"odd/{name}")
        assert (read["content"], read["path"]) == ("odd", f"/home/deploy/odd/{name}")
    missing = await use(deployed, "read_file", path="odd/\\x{fd}")
    assert "odd/\\x{fd} does not exist" in missing["message"]


async def test_names_that_grow_in_a_message_still_fit_into_one(deployed: RunningEndpoint, server: Sshd) -> None:
    (server.home / "odd").mkdir()
    for number in range(600):
        path = server.home / "odd" / f"{number:03}{chr(1) * 250}"
        path.write_text("needle" + chr(1) * 400)
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("list_directory", {"limit": 10_000}),
        ("find_files", {"limit": 5000}),
        ("search_files", {"limit": 2000, "pattern": "needle"}),
    ]
    for tool, arguments in attempts:
        result = await use(deployed, tool, path="odd", **arguments)
        some = result.get("entries") or result["files"]
        assert 20 < len(some) < 600, tool
        assert result.get("truncated") or result["incomplete"] == "limit"


async def test_secret_values_are_masked_in_contents_wherever_they_are_cut(
    deployed: RunningEndpoint, server: Sshd
) -> None:
    put(server, "env", f"A=1\nTOKEN={SECRET}\nB=2\n")
    whole = await use(deployed, "read_file", path="env")
    assert (whole["content"], whole["redacted"]) == ("A=1\nTOKEN=[redacted]\nB=2\n", True)
    assert not (await use(deployed, "read_file", path="env", max_bytes=3))["redacted"]
    for cut in range(len("A=1\nTOKEN="), len(f"A=1\nTOKEN={SECRET}")):
        head = await use(deployed, "read_file", path="env", max_bytes=cut + 1)
        tail = await use(deployed, "read_file", path="env", offset=cut, max_bytes=4)
        assert head["redacted"]
        assert tail["redacted"]
        assert not any(part in head["content"] + tail["content"] for part in ("s3c", "lue", "-Va", "-42"))
    found = await use(deployed, "search_files", path=".", pattern="TOKEN=", glob="env")
    assert found["files"] == [{"name": "env", "lines": ["2:TOKEN=[redacted]"]}]
    guessed = await use(deployed, "search_files", path=".", pattern="s3cr3t-[A-Z]", glob="env")
    assert guessed["matches"] == 0
    edited = await use(deployed, "edit_file", path="env", edits=[{"old": "B=2", "new": "B=3"}])
    assert SECRET not in json.dumps(edited)
    assert SECRET in (server.home / "env").read_text()


async def test_changes_need_both_ends_to_be_writable(deployed: RunningEndpoint, server: Sshd) -> None:
    for name in ("open", "closed"):
        (server.home / name).mkdir()
        (server.home / name).chmod(0o777)
        put(server, f"{name}/file", name)
    (server.home / "open" / "way").symlink_to("../closed")
    deployed.reconfigure(policy=Policy(paths=PathPolicy(write=("/home/deploy/open",), read=("/home/deploy/open",))))
    await deployed.settled()
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("move_path", {"source": "open/file", "destination": "closed/x"}),
        ("move_path", {"source": "closed/file", "destination": "open/x"}),
        ("move_path", {"source": "open/way/file", "destination": "open/x"}),
        ("delete_path", {"path": "open/way/file"}),
        ("make_directory", {"path": "closed/a/b", "parents": True}),
        ("write_file", {"path": "open/way/a/b", "content": "", "create_parents": True}),
        ("edit_file", {"path": "open/way/file", "edits": [{"old": "closed", "new": "x"}]}),
        ("stat_path", {"path": "open/way/file"}),
        ("stat_path", {"path": "closed/missing"}),
        ("find_files", {"path": "open/way"}),
        ("search_files", {"path": "closed", "pattern": "x"}),
    ]
    for tool, arguments in attempts:
        result = await use(deployed, tool, **arguments)
        assert result["code"] == "policy_denied", tool
    assert (await use(deployed, "delete_path", path="open/way"))["deleted"] == 1
    assert sorted(path.name for path in (server.home / "closed").iterdir()) == ["file"]
    kept = await use(deployed, "delete_path", path="open", recursive=True)
    assert (kept["code"], "policy begins" in kept["message"]) == ("file_error", True)


async def test_who_may_write_and_not_read_is_shown_nothing(deployed: RunningEndpoint, server: Sshd) -> None:
    for name in ("drop", "drop/public"):
        (server.home / name).mkdir()
        (server.home / name).chmod(0o777)
    put(server, "drop/file", "a\nsecret\n")
    token, grant = deployed.keyring.grant(Permission.WRITE)
    paths = PathPolicy(write=("/home/deploy/drop",), read=("/home/deploy/drop/public",))
    deployed.reconfigure(policy=Policy(paths=paths), tokens=(*deployed.config.tokens, grant))
    await deployed.settled()
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("move_path", {"source": "drop/file", "destination": "drop/public/file"}),
        ("edit_file", {"path": "drop/file", "edits": [{"old": "a", "new": "b"}]}),
    ]
    for tool, arguments in attempts:
        assert (await use(deployed, tool, **arguments))["code"] == "policy_denied"
    assert "code" not in await use(deployed, "move_path", source="drop/file", destination="drop/renamed")
    assert "code" not in await use(deployed, "write_file", path="drop/public/x", content="a\nb\n")
    edited = await use(deployed, "edit_file", token=token, path="drop/public/x", edits=[{"old": "a", "new": "c"}])
    assert (edited["diff"], edited["replacements"]) == ("", 1)


async def test_the_audit_trail_names_places_and_never_contents(deployed: RunningEndpoint, server: Sshd) -> None:
    put(server, "file", "old content")
    await use(deployed, "edit_file", path="file", edits=[{"old": "old content", "new": "new content"}])
    await use(deployed, "move_path", source="file", destination="moved")
    edit, move = deployed.audit("call")[-2:]
    assert (edit["tool"], edit["path"], edit["outcome"]) == ("edit_file", "/home/deploy/file", "ok")
    assert (move["path"], move["destination"]) == ("/home/deploy/file", "/home/deploy/moved")
    assert "content" not in json.dumps([edit, move]).replace('"content', "")


async def test_a_write_whose_client_gives_up_leaves_nothing_behind(deployed: RunningEndpoint, server: Sshd) -> None:
    put(server, "data", "old")
    content = base64.b64encode(os.urandom(2_500_000)).decode()

    async def write() -> None:
        async with deployed.client() as client:
            await client.call_tool("write_file", {"path": "data", "content": content, "encoding": "base64"})

    for delay in (0.05, 0.1, 0.15, 0.2):
        writing = asyncio.create_task(write())
        await asyncio.wait({writing}, timeout=delay)
        writing.cancel()
        await asyncio.wait({writing})
        await until(lambda: {path.name for path in server.home.iterdir()} == {".ssh", "data"}, "nothing to be left")
    assert (server.home / "data").stat().st_size in (3, 2_500_000)


async def test_a_long_search_tells_how_far_it_is_and_ends_in_time(deployed: RunningEndpoint, server: Sshd) -> None:
    for number in range(60):
        directory = server.home / "tree" / f"{number:02}"
        directory.mkdir(parents=True)
        for file in range(40):
            (directory / f"{file}").write_text("x\n" * 2000)
    deployed.reconfigure(limits=Limits(foreground_timeout=2.5), policy=Policy(paths=PathPolicy(read=("/home/deploy",))))
    await deployed.settled()
    told: list[str] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        told.append(message or "")

    async with deployed.client() as client:
        result = await client.call_tool("search_files", {"path": "tree", "pattern": "y"}, progress_callback=report)
    assert result.structured_content is not None
    assert result.structured_content["incomplete"] in ("time", None)
    assert all("files searched" in message for message in told)
    assert told or result.structured_content["incomplete"] is None
