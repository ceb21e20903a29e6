"""Values of policy.redact in whatever leaves the sidecar."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fairlead_sidecar.config import Policy, SecretValue
from tests.integration.app.endpoint import ERAS, RunningEndpoint, running, until
from tests.integration.app.using import use
from tests.integration.sshd import SshdFactory

SECRET = "s3cr3t-Value/42"
both_eras = pytest.mark.parametrize("era", ERAS)


@pytest.fixture
def value(tmp_path: Path) -> SecretValue:
    (tmp_path / "value").write_text(SECRET + "\n")
    return SecretValue(file=tmp_path / "value", name="app/token")


@pytest.fixture
async def redacting(sshd_factory: SshdFactory, value: SecretValue) -> AsyncIterator[RunningEndpoint]:
    """A sidecar that masks one value."""
    config = sshd_factory(username="deploy").sidecar_config(policy=Policy(redact=(value,)))
    async with running(config) as endpoint:
        yield endpoint


@both_eras
async def test_output_is_masked_wherever_it_is_cut_and_in_its_usual_spellings(
    redacting: RunningEndpoint, era: str
) -> None:
    halves = f"printf %s '{SECRET[:5]}'; sleep 0.3; printf %s '{SECRET[5:]}'; printf x >&2"
    encoded = base64.b64encode(f"user:{SECRET}".encode()).decode()
    result = await use(redacting, "execute_command", era=era, command=f"{halves}; echo; echo {encoded}")
    assert result["stdout"].startswith("[redacted]\n")
    assert "[redacted]" in result["stdout"].splitlines()[1]
    assert result["stderr"] == "x"
    assert SECRET not in json.dumps(result)


async def test_kept_output_is_masked_on_its_way_to_the_disk(redacting: RunningEndpoint) -> None:
    result = await use(redacting, "execute_command", command=f"printf 'a\\033{SECRET}'")
    kept = redacting.sidecar.commands.find("uid-" + redacting.config.tokens[-1].id, result["output_id"])
    assert kept.output.spooled.read("stdout", 0, 100) == b"a\x1b[redacted]"
    page = await use(redacting, "read_output", output_id=result["output_id"], encoding="base64")
    assert base64.b64decode(page["content"]) == b"a\x1b[redacted]"


async def test_reports_on_a_command_in_the_background_are_masked(redacting: RunningEndpoint) -> None:
    command = f"printf %s '{SECRET[:5]}'; until [ -e go ]; do sleep 0.02; done; printf %s '{SECRET[5:]}'"
    begun = await use(redacting, "execute_command", command=command, wait_seconds=0.5)
    await use(redacting, "execute_command", command="touch go")
    ended = await use(redacting, "command_output", command_id=begun["command_id"], wait_seconds=10)
    assert begun["stdout"] + ended["stdout"] == "[redacted]"


async def test_live_output_is_masked(redacting: RunningEndpoint) -> None:
    messages: list[str] = []

    async def take(progress: float, total: float | None, message: str | None) -> None:
        messages.append(message or "")

    halves = f"printf %s '{SECRET[:7]}'; sleep 0.5; echo '{SECRET[7:]}'"
    # It ends once it was heard: what is left at the end of a command is not reported.
    command = f"echo {SECRET}; {halves}; until [ -e go ]; do sleep 0.02; done"
    async with redacting.client("legacy") as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(client.call_tool("execute_command", {"command": command}, progress_callback=take))
        await until(lambda: len("".join(messages).split()) == 2, "all of it to be reported")
        await use(redacting, "execute_command", command="touch go")
    assert "".join(messages).split() == ["[redacted]", "[redacted]"]


async def test_errors_and_the_audit_trail_are_masked(redacting: RunningEndpoint) -> None:
    for arguments in (
        {"command": f"echo {SECRET}"},
        {"command": f"echo {SECRET}", "timeout_seconds": 10**6},
        {"command": "true", "env": {"A": SECRET}, "stdin": SECRET},
        {"command": "true", "env": {SECRET.replace("/", ""): "x", SECRET: "y"}},
        {"command": f"echo {SECRET}; sleep 60", "timeout_seconds": 0.3},
    ):
        result = await use(redacting, "execute_command", **arguments)
        assert SECRET not in json.dumps(result)
    await use(redacting, "execute_script", interpreter=f"sh -c 'echo {SECRET}'", script="x")
    async with redacting.client() as client:
        for name in ("read_file", "list_directory"):
            failed = await client.call_tool(name, {"path": f"/nowhere/{SECRET}"})
            assert failed.is_error
            assert SECRET not in failed.model_dump_json()
    assert SECRET not in redacting.audit_stream.getvalue()
    assert "[redacted]" in redacting.audit("call")[0]["command"]


async def test_files_are_masked_too(redacting: RunningEndpoint) -> None:
    await use(redacting, "execute_command", command=f"echo 'token={SECRET}' > config; printf '\\377{SECRET}' > blob")
    async with redacting.client() as client:
        for name in ("config", "blob"):
            result = await client.call_tool("read_file", {"path": name})
            assert not result.is_error
            assert SECRET not in result.model_dump_json()
            assert base64.b64encode(SECRET.encode()).decode()[2:-4] not in result.model_dump_json()


async def test_a_value_that_can_not_be_read_closes_the_host_and_not_its_status(
    redacting: RunningEndpoint, value: SecretValue
) -> None:
    value.file.unlink()
    refused = await use(redacting, "execute_command", command=f"touch ran; echo {SECRET}")
    assert refused["code"] == "credentials_not_found"
    assert "app/token" in refused["message"]
    assert (await use(redacting, "connection_status"))["state"] == "Connected"
    assert SECRET not in redacting.audit_stream.getvalue()
    value.file.write_text("another-value")
    result = await use(redacting, "execute_command", command="ls ran; echo another-value")
    assert result["stdout"] == "[redacted]\n"


async def test_a_rotated_value_is_masked_from_the_next_call_on(redacting: RunningEndpoint, value: SecretValue) -> None:
    await asyncio.to_thread(value.file.write_text, "rotated-value")
    result = await use(redacting, "execute_command", command=f"echo rotated-value; echo {SECRET}")
    assert result["stdout"] == f"[redacted]\n{SECRET}\n"
