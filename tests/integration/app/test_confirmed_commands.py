"""Commands that a person must agree to, through the app, on a real host."""

from collections.abc import AsyncIterator

import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult

from fairlead_sidecar.config import Confirmation, NamedCommand, Parameter, Policy
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
