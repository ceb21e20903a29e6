"""A call that needs a person's consent, with real clients of both protocol eras."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import Permission
from fairlead_sidecar.protocol import confirm, questions
from fairlead_sidecar.tools.catalogue import TOOLS
from fairlead_sidecar.tools.spec import Arguments, Call, Result, Tool
from tests.integration.app.endpoint import (
    ERAS,
    RunningEndpoint,
    call,
    lines_of,
    modern_headers,
    until,
)

both_eras = pytest.mark.parametrize("era", ERAS)


class EraseArguments(Arguments):
    """What is to be erased, and how many consents that needs."""

    what: str
    consents: int = 1


class EraseResult(Result):
    """What was erased."""

    erased: str


class Eraser:
    """A tool that asks first, and remembers what it did."""

    def __init__(self) -> None:
        self.erased: list[str] = []

    async def run(self, call: Call, arguments: EraseArguments) -> EraseResult:
        for number in range(arguments.consents):
            await call.confirm(f"Erase {arguments.what}? ({number})")
        self.erased.append(arguments.what)
        return EraseResult(host=call.host, erased=arguments.what)


@pytest.fixture
def eraser(monkeypatch: pytest.MonkeyPatch) -> Eraser:
    """Offered by every host of the test."""
    eraser = Eraser()
    tool = Tool(
        name="erase",
        title="Erase",
        description="Erase something.",
        group=None,
        permission=Permission.EXECUTE,
        annotations=TOOLS["connection_status"].annotations,
        arguments=EraseArguments,
        result=EraseResult,
        run=eraser.run,
    )
    monkeypatch.setitem(TOOLS, "erase", tool)
    return eraser


@pytest.fixture
async def asking(eraser: Eraser, hostless: RunningEndpoint) -> RunningEndpoint:
    """A sidecar with the tool."""
    hostless.reconfigure(generation=2)
    await hostless.settled()
    return hostless


class Person:
    """Answers a client's questions."""

    def __init__(self, *actions: str) -> None:
        self.actions = list(actions)
        self.asked: list[str] = []

    async def __call__(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult | types.ErrorData:
        self.asked.append(params.message)
        action = self.actions.pop(0)
        if action == "error":
            return types.ErrorData(code=types.INTERNAL_ERROR, message="the screen is broken")
        return types.ElicitResult.model_validate({"action": action, "content": {} if action == "accept" else None})


class Absent(Person):
    """Went away."""

    async def __call__(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError


@contextlib.asynccontextmanager
async def client(endpoint: RunningEndpoint, era: str, person: Person | None) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(headers=endpoint.bearer(), timeout=60) as http,
        Client(
            streamable_http_client(endpoint.url, http_client=http), mode=era, elicitation_callback=person
        ) as connected,
    ):
        yield connected


@both_eras
async def test_a_person_who_agrees_lets_the_call_go_on(asking: RunningEndpoint, eraser: Eraser, era: str) -> None:
    person = Person("accept")
    async with client(asking, era, person) as connected:
        result = await connected.call_tool("erase", {"what": "logs"})
    assert result.structured_content == {"host": "web-01", "erased": "logs"}
    assert person.asked == ["Erase logs? (0)"]
    assert eraser.erased == ["logs"]
    line = asking.audit("call")[-1]
    assert (line["decision"], line["outcome"], line["confirmation"]) == ("allow", "ok", "accept")


@both_eras
async def test_several_questions_of_one_call_are_asked_once_each(
    asking: RunningEndpoint, eraser: Eraser, era: str
) -> None:
    person = Person("accept", "accept", "accept")
    async with client(asking, era, person) as connected:
        await connected.call_tool("erase", {"what": "logs", "consents": 3})
    assert person.asked == [f"Erase logs? ({number})" for number in range(3)]
    assert eraser.erased == ["logs"]


@both_eras
@pytest.mark.parametrize(("action", "says"), [("decline", "declined"), ("cancel", "no answer")])
async def test_a_person_who_does_not_agree_stops_the_call(
    asking: RunningEndpoint, eraser: Eraser, era: str, action: str, says: str
) -> None:
    async with client(asking, era, Person("accept", action)) as connected:
        result = await connected.call_tool("erase", {"what": "logs", "consents": 2})
    assert result.is_error
    content = result.structured_content or {}
    assert content["code"] == "confirmation_refused"
    assert says in content["message"]
    assert eraser.erased == []
    line = asking.audit("call")[-1]
    assert (line["decision"], line["outcome"], line["confirmation"]) == ("deny", "confirmation_refused", action)


@both_eras
async def test_a_client_that_cannot_ask_is_refused(asking: RunningEndpoint, eraser: Eraser, era: str) -> None:
    async with client(asking, era, None) as connected:
        result = await connected.call_tool("erase", {"what": "logs"})
    assert (result.structured_content or {})["code"] == "confirmation_refused"
    assert "no way to ask" in (result.structured_content or {})["message"]
    assert eraser.erased == []


async def test_a_client_that_fails_to_ask_is_refused(asking: RunningEndpoint, eraser: Eraser) -> None:
    async with client(asking, "legacy", Person("error")) as connected:
        result = await connected.call_tool("erase", {"what": "logs"})
    assert (result.structured_content or {})["code"] == "confirmation_refused"
    assert eraser.erased == []


async def test_a_question_that_nobody_answers_in_time_is_a_refusal(
    asking: RunningEndpoint, eraser: Eraser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(confirm, "TIMEOUT", 0.2)
    monkeypatch.setattr(questions, "TIMEOUT", 0.0)
    async with client(asking, "legacy", Absent()) as connected:
        result = await connected.call_tool("erase", {"what": "logs"})
    assert "Nobody answered" in (result.structured_content or {})["message"]
    async with client(asking, "auto", Person("accept")) as connected:
        result = await connected.call_tool("erase", {"what": "logs"})
    assert "Nobody answered" in (result.structured_content or {})["message"]
    assert eraser.erased == []


async def test_a_question_shows_what_would_hide_in_it(asking: RunningEndpoint, eraser: Eraser) -> None:
    person = Person("decline")
    async with client(asking, "auto", person) as connected:
        await connected.call_tool("erase", {"what": "a\N{RIGHT-TO-LEFT OVERRIDE}b\x1b[2J\nc"})
    assert person.asked == ["Erase a\\u202eb\\x1b[2J\nc? (0)"]
    assert eraser.erased == []


async def test_a_question_too_long_to_read_is_a_refusal(asking: RunningEndpoint, eraser: Eraser) -> None:
    async with client(asking, "auto", Person()) as connected:
        result = await connected.call_tool("erase", {"what": "x" * 10_000})
    assert "too long" in (result.structured_content or {})["message"]
    assert eraser.erased == []


class ByHand:
    """A client of the modern protocol that decides itself what it sends back."""

    def __init__(self, endpoint: RunningEndpoint, token: str | None = None) -> None:
        self.endpoint = endpoint
        self.token = token

    async def erase(self, what: str, state: str | None = None, action: str = "accept") -> dict[str, Any]:
        message = call("erase", modern=True, what=what)
        capabilities: dict[str, Any] = {"io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}}
        message["params"]["_meta"] |= capabilities
        if state is not None:
            message["params"] |= {"requestState": state, "inputResponses": {"confirm": {"action": action}}}
        async with self.endpoint.http(self.token) as http:
            answer = await http.post(self.endpoint.url, json=message, headers=modern_headers(message))
        (reply,) = lines_of(answer)
        return dict(reply)

    async def asked(self, what: str, state: str | None = None) -> str:
        """Call and expect to be asked; the state to send back."""
        result = (await self.erase(what, state))["result"]
        assert result["resultType"] == "input_required"
        assert what in result["inputRequests"]["confirm"]["params"]["message"]
        return str(result["requestState"])


async def test_an_answer_counts_for_exactly_the_call_it_was_asked_for(asking: RunningEndpoint, eraser: Eraser) -> None:
    mine = ByHand(asking)
    other_token, grant = asking.keyring.grant()
    asking.reconfigure(tokens=(*asking.config.tokens, grant))
    await asking.settled()
    state = await mine.asked("logs")
    await mine.asked("everything", state)
    await ByHand(asking, other_token).asked("logs", state)
    assert eraser.erased == []
    assert (await mine.erase("logs", state))["result"]["structuredContent"]["erased"] == "logs"


async def test_an_answer_counts_once(asking: RunningEndpoint, eraser: Eraser) -> None:
    mine = ByHand(asking)
    state = await mine.asked("logs")
    await mine.erase("logs", state)
    await mine.asked("logs", state)
    assert eraser.erased == ["logs"]


async def test_a_refusal_cannot_be_taken_back(asking: RunningEndpoint, eraser: Eraser) -> None:
    mine = ByHand(asking)
    state = await mine.asked("logs")
    assert (await mine.erase("logs", state, "decline"))["result"]["isError"]
    await mine.asked("logs", state)
    assert eraser.erased == []


async def test_a_state_that_was_not_made_here_is_an_error(asking: RunningEndpoint, eraser: Eraser) -> None:
    mine = ByHand(asking)
    state = await mine.asked("logs")
    turned = state[:-6] + ("A" if state[-6] != "A" else "B") + state[-5:]
    for forged in (turned, "", "v1.AAAA", "x" * 1000):
        assert (await mine.erase("logs", forged))["error"]["code"] == types.INVALID_PARAMS
    assert eraser.erased == []
    line = asking.audit("call")[-1]
    assert (line["decision"], line["outcome"]) == ("deny", "forged_state")


async def test_an_answer_survives_the_rotation_of_the_token(asking: RunningEndpoint, eraser: Eraser) -> None:
    old, before = asking.keyring.grant(uid="same")
    new, after = asking.keyring.grant(uid="same")
    asking.reconfigure(tokens=(before, after))
    await asking.settled()
    state = await ByHand(asking, old).asked("logs")
    await ByHand(asking, new).erase("logs", state)
    assert eraser.erased == ["logs"]


@pytest.mark.parametrize("end", ["cancel", "revoke"])
async def test_a_call_that_ends_while_the_person_thinks_is_not_run(
    asking: RunningEndpoint, eraser: Eraser, end: str
) -> None:
    thinking = anyio.Event()

    class Thinker(Person):
        async def __call__(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
            thinking.set()
            await anyio.sleep_forever()
            raise AssertionError

    outcome = {"cancel": "cancelled", "revoke": "token_revoked"}[end]
    with contextlib.suppress(MCPError, BaseExceptionGroup):
        async with client(asking, "legacy", Thinker()) as connected, anyio.create_task_group() as group:
            group.start_soon(connected.call_tool, "erase", {"what": "logs"})
            await thinking.wait()
            if end == "cancel":
                group.cancel_scope.cancel()
            else:
                asking.reconfigure(tokens=())
                await until(lambda: bool(asking.audit("call")), "the call to be cut")
                group.cancel_scope.cancel()
    await until(lambda: [line["outcome"] for line in asking.audit("call")] == [outcome], "the call's end")
    assert eraser.erased == []
