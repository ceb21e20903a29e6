"""Commands that a person must agree to, through the app, on a real host."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult

from fairlead_sidecar.config import (
    CommandPolicy,
    Confirmation,
    NamedCommand,
    Parameter,
    Permission,
    Policy,
    Sudo,
    ToolGroup,
)
from tests.integration.app.endpoint import ERAS, RunningEndpoint, running
from tests.integration.app.test_confirmation import Person, client
from tests.integration.app.using import use
from tests.integration.sshd import SshdFactory

both_eras = pytest.mark.parametrize("era", ERAS)
POLICY = Policy(
    confirm=(Confirmation(pattern=r"\brm\b"),),
    named_commands=(NamedCommand(name="clean", argv=("rm", "-f", "{name}"), parameters={"name": Parameter()}),),
)


@pytest.fixture
async def careful(sshd_factory: SshdFactory) -> AsyncIterator[RunningEndpoint]:
    """A sidecar that asks before anything is removed."""
    async with running(sshd_factory(username="deploy").sidecar_config(policy=POLICY)) as endpoint:
        await use(endpoint, "execute_command", command="touch precious")
        yield endpoint


async def there(endpoint: RunningEndpoint) -> bool:
    return bool((await use(endpoint, "execute_command", command="ls"))["stdout"] == "precious\n")


@both_eras
async def test_the_person_is_shown_the_exact_command_and_it_runs_once_they_agree(
    careful: RunningEndpoint, era: str
) -> None:
    person = Person("accept")
    async with client(careful, era, person) as connected:
        result = await connected.call_tool("execute_command", {"command": "rm precious; echo done"})
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "done\n"
    assert person.asked == ["Run this on web-01 as deploy?\n\nrm precious; echo done"]
    line = careful.audit("call")[-1]
    assert (line["command"], line["confirmation"]) == ("rm precious; echo done", "accept")


@both_eras
@pytest.mark.parametrize("answer", ["decline", "cancel"])
async def test_nothing_runs_where_the_person_does_not_agree(careful: RunningEndpoint, era: str, answer: str) -> None:
    for tool, arguments in (
        ("execute_command", {"command": "rm precious"}),
        ("execute_script", {"script": "echo\nrm precious\n"}),
        ("run_clean", {"name": "precious"}),
    ):
        async with client(careful, era, Person(answer)) as connected:
            result = await connected.call_tool(tool, arguments)
        assert result.structured_content is not None
        assert result.structured_content["code"] == "confirmation_refused"
    assert await there(careful)
    assert careful.audit("call")[-2]["decision"] == "deny"


@both_eras
async def test_nothing_runs_where_the_client_can_not_ask(careful: RunningEndpoint, era: str) -> None:
    result = await use(careful, "execute_command", era=era, command="rm precious")
    assert result["code"] == "confirmation_refused"
    assert await there(careful)


@both_eras
async def test_a_named_command_is_shown_as_it_will_run(careful: RunningEndpoint, era: str) -> None:
    person = Person("accept")
    async with client(careful, era, person) as connected:
        await connected.call_tool("run_clean", {"name": "pre cious"})
    assert person.asked == ["Run this on web-01 as deploy?\n\nrm -f 'pre cious'"]


async def test_a_token_that_is_revoked_while_the_person_thinks_runs_nothing(careful: RunningEndpoint) -> None:
    class Slow(Person):
        async def __call__(self, context: object, params: ElicitRequestParams) -> ElicitResult:
            careful.reconfigure(tokens=())
            await careful.settled()
            return ElicitResult(action="accept", content={})

    asked: Client
    async with client(careful, "auto", Slow()) as asked:
        with pytest.raises(Exception, match=r"no longer valid|401|Unauthorized|error response"):
            await asked.call_tool("execute_command", {"command": "rm precious"})
    own = careful.keyring
    token, grant = own.grant()
    careful.token = token
    careful.reconfigure(tokens=(grant,))
    await careful.settled()
    assert await there(careful)


@both_eras
async def test_the_person_is_shown_whatever_else_the_call_brings_along(careful: RunningEndpoint, era: str) -> None:
    person = Person("accept", "accept")
    given = {
        "command": "rm precious",
        "workdir": "/tmp",
        "env": {"PATH": "/tmp/other\n\nls"},
        "stdin": "yes\n",
    }
    async with client(careful, era, person) as connected:
        await connected.call_tool("execute_command", given)
        await connected.call_tool("execute_script", {"script": "rm precious", "workdir": "/tmp"})
    assert person.asked == [
        (
            'Run this on web-01 as deploy, in the directory "/tmp", with PATH="/tmp/other\\n\\nls", '
            'with the standard input "yes\\n"?\n\nrm precious'
        ),
        'Run this on web-01 as deploy, in the directory "/tmp"?\n\nsh\nrm precious',
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"policy": POLICY.model_copy(update={"read_only": True})},
        {"policy": POLICY.model_copy(update={"commands": CommandPolicy(deny=("precious",))})},
        {"policy": POLICY.model_copy(update={"sudo": Sudo(type="Passwordless")})},
        {"groups": frozenset({ToolGroup.FILES})},
        {"tokens": "without Sudo"},
    ],
    ids=["read-only", "denied", "another policy", "no commands", "fewer permissions"],
)
async def test_consent_is_worth_nothing_once_something_else_may_be_done(
    careful: RunningEndpoint, change: dict[str, Any]
) -> None:
    before = careful.config
    if "tokens" in change:
        fewer = {"permissions": frozenset(Permission) - {Permission.SUDO}}
        change = {"tokens": tuple(grant.model_copy(update=fewer) for grant in before.tokens)}

    class Slow(Person):
        async def __call__(self, context: object, params: ElicitRequestParams) -> ElicitResult:
            careful.reconfigure(**change)
            await careful.settled()
            return ElicitResult(action="accept", content={})

    # In the other era the call comes again, and is checked as a new one.
    async with client(careful, "legacy", Slow()) as connected:
        result = await connected.call_tool("execute_command", {"command": "rm precious"})
    assert result.structured_content is not None
    assert result.structured_content["code"] == "policy_denied"
    careful.reconfigure(policy=before.policy, groups=before.groups, tokens=before.tokens)
    await careful.settled()
    assert await there(careful)
