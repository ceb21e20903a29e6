"""Who may run commands as another account, and what they are told of it."""

from pathlib import Path
from typing import Any

import pytest

from fairlead_sidecar.config import CommandPolicy, Permission, Policy, SecretValue, Sudo
from tests.integration.app.endpoint import ERAS, RunningEndpoint
from tests.integration.app.using import SUDO_OFF, deployed, use

__all__ = ["deployed"]

both_eras = pytest.mark.parametrize("era", ERAS)
SUDO_ARGUMENTS = {"sudo", "as_user"}


async def with_sudo(endpoint: RunningEndpoint, sudo: Sudo, **policy: Any) -> None:
    endpoint.reconfigure(policy=Policy(sudo=sudo, **policy))
    await endpoint.settled()


async def told(endpoint: RunningEndpoint, era: str, token: str | None = None) -> dict[str, set[str]]:
    async with endpoint.client(era, token) as client:
        tools = (await client.list_tools()).tools
    return {
        tool.name: set(tool.input_schema["properties"]) & SUDO_ARGUMENTS
        for tool in tools
        if tool.name.startswith("execute_")
    }


@both_eras
async def test_sudo_is_told_only_where_and_to_whom_it_is_of_use(deployed: RunningEndpoint, era: str) -> None:
    nothing: dict[str, set[str]] = {"execute_command": set(), "execute_script": set()}
    assert await told(deployed, era) == nothing
    token, grant = deployed.keyring.grant(*SUDO_OFF)
    deployed.reconfigure(tokens=(*deployed.config.tokens, grant))
    await with_sudo(deployed, Sudo(type="Passwordless"))
    assert await told(deployed, era) == dict.fromkeys(nothing, SUDO_ARGUMENTS)
    assert await told(deployed, era, token) == nothing


@pytest.mark.parametrize("tool", ["execute_command", "execute_script"])
@pytest.mark.parametrize("arguments", [{"sudo": True}, {"as_user": "root"}, {"as_user": "deploy"}])
async def test_sudo_is_refused_where_the_policy_has_none(
    deployed: RunningEndpoint, tool: str, arguments: dict[str, Any]
) -> None:
    what = {"command": "touch ran"} if tool == "execute_command" else {"script": "touch ran"}
    refused = await use(deployed, tool, **what, **arguments)
    assert refused["code"] == "policy_denied"
    assert "Never" in refused["message"]
    assert (await use(deployed, "execute_command", command="ls"))["stdout"] == ""
    line = deployed.audit("call")[0]
    assert (line["decision"], line["user"]) == ("deny", arguments.get("as_user", "root"))


async def test_sudo_is_refused_to_a_token_that_lacks_the_permission(deployed: RunningEndpoint) -> None:
    token, grant = deployed.keyring.grant(*SUDO_OFF)
    deployed.reconfigure(tokens=(*deployed.config.tokens, grant))
    await with_sudo(deployed, Sudo(type="Passwordless"))
    refused = await use(deployed, "execute_command", token=token, command="touch ran", sudo=True)
    assert refused["code"] == "permission_denied"
    assert "Sudo" in refused["message"]
    allowed = await use(deployed, "execute_command", token=token, command="ls")
    assert allowed["stdout"] == ""


async def test_sudo_is_refused_for_accounts_that_the_policy_does_not_name(deployed: RunningEndpoint) -> None:
    await with_sudo(deployed, Sudo(type="Passwordless", users=("postgres",)))
    for arguments in ({"sudo": True}, {"as_user": "root"}, {"as_user": "-u"}, {"as_user": "#0"}, {"as_user": ""}):
        refused = await use(deployed, "execute_command", command="id", **arguments)
        assert refused["code"] == "policy_denied"
        assert "postgres" in refused["message"]


async def test_a_pattern_sees_sudo_that_a_call_asks_for(deployed: RunningEndpoint) -> None:
    await with_sudo(deployed, Sudo(type="Passwordless"), commands=CommandPolicy(deny=(r"\bsudo\b",)))
    refused = await use(deployed, "execute_command", command="id", sudo=True)
    assert refused["code"] == "policy_denied"
    assert "commands.deny" in refused["message"]


async def test_a_missing_password_is_an_error_that_names_its_secret(deployed: RunningEndpoint, tmp_path: Path) -> None:
    password = SecretValue(file=tmp_path / "none", name="web-01-sudo/password")
    await with_sudo(deployed, Sudo(type="Password", password=password))
    refused = await use(deployed, "execute_command", command="id", sudo=True)
    assert refused["code"] == "credentials_not_found"
    assert "web-01-sudo/password" in refused["message"]


def test_sudo_is_a_permission_of_its_own() -> None:
    from fairlead_sidecar.tools.catalogue import SCOPES

    assert SCOPES[Permission.SUDO] == "fairlead:sudo"
