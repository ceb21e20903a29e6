"""What a command finds and what comes back of it."""

import base64
import time

import pytest

from tests.integration.app.endpoint import ERAS, RunningEndpoint, until
from tests.integration.app.using import marker, use
from tests.integration.sshd import Sshd

both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_a_command_that_reads_its_input_finds_its_end(endpoint: RunningEndpoint, era: str) -> None:
    result = await use(endpoint, "execute_command", era=era, command="cat; echo read", timeout_seconds=20)
    assert (result["exit_code"], result["stdout"]) == (0, "read\n")


@both_eras
async def test_a_process_left_in_the_background_holds_neither_the_answer_nor_its_output(
    endpoint: RunningEndpoint, sshd: Sshd, era: str
) -> None:
    seconds = marker()
    began = time.monotonic()
    result = await use(endpoint, "execute_command", era=era, command=f"sleep {seconds} & echo x")
    assert (result["exit_code"], result["stdout"]) == (0, "x\n")
    assert time.monotonic() - began < 30
    await until(lambda: sshd.running(seconds), "what was left to run")


@both_eras
async def test_output_that_is_no_utf_8_is_flagged_and_exact_as_base64(endpoint: RunningEndpoint, era: str) -> None:
    command = r"printf 'gr\374n\n'; printf 'na\357ve' >&2"
    result = await use(endpoint, "execute_command", era=era, command=command)
    assert (result["stdout"], result["stdout_encoding"]) == ("gr\N{REPLACEMENT CHARACTER}n\n", "utf-8-replaced")
    assert (result["stderr"], result["stderr_encoding"]) == ("na\N{REPLACEMENT CHARACTER}ve", "utf-8-replaced")

    exact = await use(endpoint, "execute_command", era=era, command=command, output_encoding="base64")
    assert base64.b64decode(exact["stdout"]) == b"gr\xfcn\n"
    assert base64.b64decode(exact["stderr"]) == b"na\xefve"
    assert (exact["stdout_encoding"], exact["stderr_encoding"]) == ("base64", "base64")
