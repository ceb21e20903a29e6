"""What commands and scripts are given: directory, variables, standard input, arguments."""

import base64
import hashlib
from typing import Any

import pytest

from fairlead_sidecar.config import CommandPolicy, Policy
from tests.integration.app.endpoint import ERAS, RunningEndpoint, processes, until
from tests.integration.app.using import deployed, marker, use

__all__ = ["deployed"]

PYTHON = """\
import sys
print(sys.argv[1])
print(sys.stdin.read(), end='')
print('it\\'s "quoted"')
sys.exit(3)
"""
both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_a_command_gets_its_directory_variables_and_input(deployed: RunningEndpoint, era: str) -> None:
    result = await use(
        deployed,
        "execute_command",
        era=era,
        command='pwd; echo "$A|$B"; cat',
        workdir="/tmp",
        env={"A": "it's $HOME", "B": "two\nlines"},
        stdin="grün\n\x00end",
        output_encoding="base64",
    )
    assert base64.b64decode(result["stdout"]).decode() == "/tmp\nit's $HOME|two\nlines\ngrün\n\x00end"


async def test_without_input_nothing_waits_for_a_keyboard(deployed: RunningEndpoint) -> None:
    result = await use(deployed, "execute_command", command="cat; echo done", timeout_seconds=20)
    assert result["stdout"] == "done\n"


@both_eras
@pytest.mark.parametrize(
    ("interpreter", "script"),
    [
        ("sh", "echo \"$1\"; cat; echo 'it'\\''s \"quoted\"'; exit 3\n"),
        ("bash -eu", 'printf \'%s\\n\' "$1"; cat; echo "it\'s" \'"quoted"\'; exit 3'),
        (
            "python3 -u",
            "import sys\nprint(sys.argv[1])\nprint(sys.stdin.read(), end='')\nprint('it\\'s \"quoted\"')\nsys.exit(3)",
        ),
    ],
)
async def test_a_script_runs_in_its_interpreter_as_it_is_written(
    deployed: RunningEndpoint, era: str, interpreter: str, script: str
) -> None:
    result = await use(
        deployed, "execute_script", era=era, interpreter=interpreter, script=script, args=["a b'$x"], stdin="in\n"
    )
    assert (result["stdout"], result["exit_code"]) == ("a b'$x\nin\nit's \"quoted\"\n", 3)


async def test_values_of_variables_and_input_show_nowhere(deployed: RunningEndpoint) -> None:
    secret, mark, other = "never-in-a-list-of-processes", marker(), marker()
    begun = await use(
        deployed,
        "execute_command",
        command=f"sleep {mark}; echo",
        env={"TOKEN": secret},
        stdin=secret,
        wait_seconds=0,
    )
    await until(lambda: bool(processes(mark)), "the command to run")
    assert not processes(secret)
    script = await use(
        deployed, "execute_script", script=f"sleep {other}", env={"TOKEN": secret}, stdin=secret, wait_seconds=0
    )
    await until(lambda: bool(processes(other)), "the script to run")
    assert not processes(secret)
    for result in (begun, script):
        await use(deployed, "command_cancel", command_id=result["command_id"])
    trail = deployed.audit_stream.getvalue()
    assert secret not in trail
    assert deployed.audit("call")[0]["env"] == "TOKEN"


async def test_the_audit_trail_names_a_script_by_its_digest(deployed: RunningEndpoint) -> None:
    await use(deployed, "execute_script", interpreter="python3 -u", script="print(1)", args=["x y"])
    line = deployed.audit("call")[-1]
    assert line["command"] == "python3 -u 'x y'"
    assert line["script_sha256"] == hashlib.sha256(b"print(1)").hexdigest()
    assert "print(1)" not in deployed.audit_stream.getvalue()


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("execute_command", {"command": "true", "env": {"A=B": "x"}}, "variable"),
        ("execute_command", {"command": "true", "env": {"1A": "x"}}, "variable"),
        ("execute_command", {"command": "true", "env": {"A": "\0"}}, "NUL"),
        ("execute_command", {"command": "true", "workdir": "/no/such/place"}, "/no/such/place"),
        ("execute_command", {"command": "true", "workdir": "/tmp\0"}, "NUL"),
        ("execute_command", {"command": "true", "wait_seconds": -1}, "wait_seconds"),
        ("execute_command", {"command": "true", "output_encoding": "hex"}, "output_encoding"),
        ("execute_script", {"script": " \n"}, "empty"),
        ("execute_script", {"script": "x", "interpreter": ""}, "interpreter"),
        ("execute_script", {"script": "x", "interpreter": " "}, "interpreter"),
        ("execute_script", {"script": "x", "interpreter": "sh 'open"}, "interpreter"),
        ("execute_script", {"script": "x", "args": ["\0"]}, "NUL"),
    ],
)
async def test_bad_arguments_are_refused_with_a_reason(
    deployed: RunningEndpoint, tool: str, arguments: dict[str, Any], says: str
) -> None:
    result = await use(deployed, tool, **arguments)
    assert result["code"] == "invalid_request"
    assert says in result["message"]


async def test_the_policy_judges_scripts_and_what_runs_them(deployed: RunningEndpoint) -> None:
    deployed.reconfigure(policy=Policy(commands=CommandPolicy(deny=(r"\bmkfs\b",))))
    await deployed.settled()
    for arguments in ({"script": "ls\nmkfs /dev/x"}, {"script": "ls", "interpreter": "sh -c mkfs"}):
        assert (await use(deployed, "execute_script", **arguments))["code"] == "policy_denied"
    deployed.reconfigure(policy=Policy(commands=CommandPolicy(allow=("^uptime$",))))
    await deployed.settled()
    assert "code" not in await use(deployed, "execute_command", command="uptime")
    refused = await use(deployed, "execute_command", command="uptime", env={"BASH_ENV": "$(touch ran)"})
    assert refused["code"] == "policy_denied"
    assert (await use(deployed, "execute_script", script="uptime"))["code"] == "policy_denied"
