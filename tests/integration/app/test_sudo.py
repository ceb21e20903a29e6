"""Commands as another account, through the app, with Debian's sudo."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fairlead_sidecar.config import NamedCommand, Parameter, Policy, SecretValue, Sudo
from tests.integration.app.endpoint import ERAS, RunningEndpoint, processes, running, until
from tests.integration.app.using import SUDO_OFF, marker, use
from tests.integration.ssh.test_sudo import BY_PASSWORD, FREE, sudo_sshd
from tests.integration.sshd import PASSWORD, SshdFactory

LIMIT = 2.0
"""Seconds that revocation may take."""
both_eras = pytest.mark.parametrize("era", ERAS)
WHO = (
    NamedCommand(name="who", argv=("id", "-un", "{more}"), parameters={"more": Parameter(default="--")}, user="root"),
)


@pytest.fixture(params=["Passwordless", "Password"])
async def privileged(
    request: pytest.FixtureRequest, sshd_factory: SshdFactory, tmp_path: Path
) -> AsyncIterator[RunningEndpoint]:
    """A sidecar whose account may use sudo, to root and nobody."""
    users = ("root", "nobody")
    if request.param == "Password":
        (tmp_path / "password").write_text(PASSWORD + "\n")
        password = SecretValue(file=tmp_path / "password", name="web-01-sudo/password")
        sudo, rule = Sudo(type="Password", password=password, users=users), BY_PASSWORD
    else:
        sudo, rule = Sudo(type="Passwordless", users=users), FREE
    server = sudo_sshd(sshd_factory, tmp_path, rule)
    async with running(server.sidecar_config(policy=Policy(sudo=sudo, named_commands=WHO))) as endpoint:
        yield endpoint


@both_eras
async def test_commands_scripts_and_named_commands_run_as_the_account_that_is_asked_for(
    privileged: RunningEndpoint, era: str
) -> None:
    command = 'id -un; echo "$A"; cat; exit 3'
    given: dict[str, Any] = {"env": {"A": "x y"}, "stdin": "in"}
    for arguments, user in (({"sudo": True}, "root"), ({"as_user": "nobody"}, "nobody"), ({}, "deploy")):
        result = await use(privileged, "execute_command", era=era, command=command, **given, **arguments)
        assert (result["stdout"], result["stderr"], result["exit_code"]) == (f"{user}\nx y\nin", "", 3)
        result = await use(privileged, "execute_script", era=era, script=command, **given, **arguments)
        assert (result["stdout"], result["stderr"], result["exit_code"]) == (f"{user}\nx y\nin", "", 3)
    assert privileged.audit("call")[0]["user"] == "root"
    assert (await use(privileged, "run_who", era=era))["stdout"] == "root\n"
    assert privileged.audit("call")[-1]["user"] == "root"
    assert PASSWORD not in privileged.audit_stream.getvalue()


async def test_a_named_command_with_an_account_needs_no_sudo_of_the_token(privileged: RunningEndpoint) -> None:
    token, grant = privileged.keyring.grant(*SUDO_OFF)
    privileged.reconfigure(tokens=(*privileged.config.tokens, grant))
    await privileged.settled()
    assert (await use(privileged, "run_who", token=token))["stdout"] == "root\n"
    refused = await use(privileged, "execute_command", token=token, command="id", sudo=True)
    assert refused["code"] == "permission_denied"


@pytest.mark.parametrize("background", [False, True])
async def test_a_command_with_sudo_dies_when_its_token_loses_sudo(
    privileged: RunningEndpoint, background: bool
) -> None:
    mark = marker()
    own = privileged.config.tokens
    _, grant = privileged.keyring.grant(uid="other", text=(token := privileged.keyring.grant()[0]))
    privileged.reconfigure(tokens=(*own, grant))
    await privileged.settled()
    async with privileged.client(token=token) as client:
        arguments = {"command": f"sleep {mark}", "sudo": True} | ({"wait_seconds": 0} if background else {})
        call = asyncio.create_task(client.call_tool("execute_command", arguments))
        await until(lambda: len(processes(mark)) > 0, "the command to run")
        reduced = grant.model_copy(update={"permissions": frozenset(SUDO_OFF)})
        privileged.reconfigure(tokens=(*own, reduced))
        started = time.monotonic()
        await until(lambda: not processes(mark), "the command to die")
        assert time.monotonic() - started < LIMIT
        result = (await call).structured_content
    assert result is not None
    if background:
        await until(lambda: bool(privileged.audit("command_end")), "the line of its end")
        assert privileged.audit("command_end")[-1]["outcome"] == "cancelled"
    else:
        assert (result["code"], result["stopped"]) == ("permission_denied", "cancelled")


async def test_what_sudo_refuses_is_an_error_of_its_own(sshd_factory: SshdFactory, tmp_path: Path) -> None:
    server = sudo_sshd(sshd_factory, tmp_path, "deploy ALL=(nobody) NOPASSWD: ALL")
    policy = Policy(sudo=Sudo(type="Passwordless"))
    async with running(server.sidecar_config(policy=policy)) as endpoint:
        result = await use(endpoint, "execute_command", command="id", sudo=True)
    assert result["code"] == "sudo_failed"
