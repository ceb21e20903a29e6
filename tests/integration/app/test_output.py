"""Output of commands: whole, exact, bounded, and with nothing hidden in it."""

import asyncio
import base64
import hashlib
import os
from pathlib import Path

import psutil
import pytest

from fairlead_sidecar.config import Limits
from tests.integration.app.endpoint import ERAS, RunningEndpoint, until
from tests.integration.app.using import deployed, use

__all__ = ["deployed"]

MiB = 1024 * 1024
both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_what_a_result_leaves_out_can_be_read_page_by_page(deployed: RunningEndpoint, era: str) -> None:
    deployed.reconfigure(limits=Limits(output_bytes=1000))
    await deployed.settled()
    result = await use(deployed, "execute_command", era=era, command="seq 1 200000; seq 1 3 >&2; exit 4")
    expected = "".join(f"{number}\n" for number in range(1, 200_001))
    assert (result["exit_code"], result["stdout_truncated"], result["stdout_bytes"]) == (4, True, len(expected))
    assert "stderr_truncated" not in result
    pages, offset = "", 0
    while True:
        page = await use(
            deployed, "read_output", era=era, output_id=result["output_id"], offset=offset, max_bytes=256 * 1024
        )
        assert page["total_bytes"] == len(expected)
        pages += page["content"]
        if "next_offset" not in page:
            break
        offset = page["next_offset"]
    assert pages == expected
    other = await use(deployed, "read_output", output_id=result["output_id"], stream="stderr")
    assert other["content"] == "1\n2\n3\n"
    beyond = await use(deployed, "read_output", output_id=result["output_id"], offset=10**9)
    assert (beyond["content"], "next_offset" in beyond) == ("", False)


async def test_a_short_and_plain_output_is_not_kept(deployed: RunningEndpoint) -> None:
    result = await use(deployed, "execute_command", command="echo plain")
    assert set(result) == {"host", "status", "exit_code", "stdout", "stderr", "duration_seconds"}
    assert not deployed.sidecar.commands._by_id
    assert deployed.sidecar.commands.spool.total == 0


async def test_binary_output_is_exact_in_pages_and_on_request(deployed: RunningEndpoint, tmp_path: Path) -> None:
    data = os.urandom(2 * MiB)
    (tmp_path / "blob").write_bytes(data)
    (tmp_path / "blob").chmod(0o644)
    for directory in (tmp_path, *tmp_path.parents[:3]):
        directory.chmod(0o755)
    result = await use(deployed, "execute_command", command=f"cat {tmp_path}/blob", output_encoding="base64")
    assert (result["stdout_encoding"], result["stdout_bytes"]) == ("base64", len(data))
    read, offset = b"", 0
    while len(read) < len(data):
        page = await use(
            deployed,
            "read_output",
            output_id=result["output_id"],
            offset=offset,
            max_bytes=256 * 1024,
            encoding="base64",
        )
        read += base64.b64decode(page["content"])
        offset = page.get("next_offset", 0)
    assert hashlib.sha256(read).digest() == hashlib.sha256(data).digest()
    text = await use(deployed, "execute_command", command="printf 'a\\033b'", output_encoding="base64")
    assert (text["stdout"], text["stdout_encoding"]) == (base64.b64encode(b"a\x1bb").decode(), "base64")
    assert "neutralised" not in text


@both_eras
async def test_what_hides_is_made_visible_and_flagged_and_its_bytes_can_be_had(
    deployed: RunningEndpoint, era: str
) -> None:
    tag = "\U000e0041".encode()
    hidden = b"\x1b[8mhidden\x1b[0m\r\n" + "a\u202eb\u200b".encode() + tag + b"\x07\n"
    octal = "".join(f"\\{byte:03o}" for byte in hidden)
    result = await use(deployed, "execute_command", era=era, command=f"printf '{octal}'")
    assert result["stdout"] == "␛[8mhidden␛[0m\r\na\\u202eb\\u200b\\U000e0041␇\n"
    assert result["neutralised"] == ["ansi", "bidi", "control", "invisible"]
    page = await use(deployed, "read_output", era=era, output_id=result["output_id"])
    assert (page["content"], page["neutralised"]) == (result["stdout"], result["neutralised"])
    exact = await use(deployed, "read_output", output_id=result["output_id"], encoding="base64")
    assert base64.b64decode(exact["content"]) == hidden


async def test_a_page_never_splits_a_character(deployed: RunningEndpoint) -> None:
    deployed.reconfigure(limits=Limits(output_bytes=100))
    await deployed.settled()
    result = await use(deployed, "execute_command", command="for i in $(seq 200); do printf '€'; done")
    pages, offset, more = "", 0, True
    while more:
        page = await use(deployed, "read_output", output_id=result["output_id"], offset=offset, max_bytes=50)
        pages += page["content"]
        assert page["encoding"] == "utf-8"
        offset, more = page.get("next_offset", 0), "next_offset" in page
    assert pages == "€" * 200


async def test_live_output_hides_nothing_either(deployed: RunningEndpoint) -> None:
    messages: list[str] = []

    async def take(progress: float, total: float | None, message: str | None) -> None:
        messages.append(message or "")

    # It ends once it was heard: what is left at the end of a command is not reported.
    command = "printf 'a\\033[8mb\\342\\200\\256'; until [ -e go ]; do sleep 0.02; done"
    async with deployed.client("legacy") as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.call_tool("execute_command", {"command": command}, progress_callback=take))
        await until(lambda: "202e" in "".join(messages), "the output to be reported")
        await use(deployed, "execute_command", command="touch go")
    assert "".join(messages) == "a␛[8mb\\u202e"


async def test_a_huge_output_stays_within_memory_and_disk(deployed: RunningEndpoint) -> None:
    process = psutil.Process()
    await use(deployed, "execute_command", command="head -c 50000000 /dev/zero | tr '\\0' x")
    before = process.memory_info().rss
    result = await use(deployed, "execute_command", command="head -c 400000000 /dev/zero | tr '\\0' x; echo end")
    assert result["stdout_bytes"] == 400_000_004
    assert result["stdout"].endswith("xend\n")
    assert process.memory_info().rss - before < 32 * MiB
    assert deployed.sidecar.commands.spool.total <= 128 * MiB
    last = await use(deployed, "read_output", output_id=result["output_id"], offset=64 * MiB - 10)
    assert (last["content"], last["total_bytes"]) == ("x" * 10, 400_000_004)
    assert "next_offset" not in last


async def test_the_output_dies_with_the_token(deployed: RunningEndpoint) -> None:
    token, grant = deployed.keyring.grant(uid="other")
    own = deployed.config.tokens
    deployed.reconfigure(tokens=(*own, grant))
    await deployed.settled()
    result = await use(deployed, "execute_command", token=token, command="printf 'a\\033'")
    assert deployed.sidecar.commands.spool.total == 2
    deployed.reconfigure(tokens=own)
    await deployed.settled()
    deployed.reconfigure(tokens=(*own, grant))
    await deployed.settled()
    gone = await use(deployed, "read_output", token=token, output_id=result["output_id"])
    assert gone["code"] == "not_found"
    assert deployed.sidecar.commands.spool.total == 0
