"""To which request under way belongs what a server asks and tells."""

import asyncio
from contextvars import copy_context

import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.session_calls import Call, Calls
from fairlead_sidecar.upstream.session_inbox import Delivery, Inbox
from fairlead_sidecar.upstream.spec import Json


class Client:
    def __init__(self) -> None:
        self.capabilities: Json = {}
        self.progressed: list[Json] = []

    async def progress(self, params: Json) -> None:
        self.progressed.append(params)

    async def notify(self, method: str, params: Json | None) -> None:
        raise ConnectionError

    async def ask(self, method: str, params: Json | None) -> Json:
        return {}


async def test_a_context_tells_the_request_for_as_long_as_it_is_under_way() -> None:
    calls = Calls()
    with calls.under_way("a", Client(), None) as call:
        context = copy_context()
        assert calls.of_context(context) is call
        assert Calls().of_context(context) is None
    assert calls.of_context(context) is None
    assert calls.of_context(None) is None


async def test_a_question_in_the_context_of_a_request_is_its_own_whoever_else_calls() -> None:
    calls = Calls()
    with calls.under_way("b", Client(), None), calls.under_way("a", Client(), None) as call:
        assert copy_context().run(calls.asked) is call


async def test_a_question_in_the_context_of_a_request_that_has_ended_is_nobodys() -> None:
    calls = Calls()
    with calls.under_way("a", Client(), None):
        context = copy_context()
    with calls.under_way("b", Client(), None), pytest.raises(MCPError, match="has ended"):
        context.run(calls.asked)


async def test_progress_tokens_are_our_own_and_lead_to_the_request() -> None:
    calls = Calls()
    with calls.under_way("a", Client(), "same") as one, calls.under_way("b", Client(), "same") as two:
        assert one.token != two.token
        assert calls.of_token(one.token) is one
        assert calls.of_token(str(two.token)) is two
        assert calls.of_token(True) is calls.of_token("other") is calls.of_token(None) is None
    assert calls.of_token(one.token) is None


async def test_a_request_whose_client_wants_no_progress_has_no_token() -> None:
    with Calls().under_way("a", Client(), None) as call:
        assert call.token is None


async def test_failing_all_requests_ends_each_with_the_fault() -> None:
    calls = Calls()

    async def wait() -> Call:
        with calls.under_way("a", Client(), None) as call:
            with call.scope:
                await asyncio.sleep(60)
            return call

    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    calls.fail(ProtocolError("No MCP."))
    for task in waiting:
        assert isinstance((await task).fault, ProtocolError)


async def test_deliveries_are_made_in_order_and_one_that_fails_stops_no_other() -> None:
    client = Client()
    with Calls().under_way("a", client, "t") as call:
        call.progress({"progress": 1})
        call.notify("notifications/message", {})
        call.progress({"progress": 2})
        assert call.inbox is not None
        await call.inbox.drained(5)
    assert client.progressed == [{"progress": 1, "progressToken": "t"}, {"progress": 2, "progressToken": "t"}]


async def test_an_inbox_keeps_the_newest_of_too_many_and_waits_no_longer_than_it_is_told_to() -> None:
    delivered: list[int] = []
    stuck = asyncio.Event()

    def delivery(number: int) -> Delivery:
        async def deliver() -> None:
            delivered.append(number)
            if number == 99:
                await stuck.wait()

        return deliver

    inbox = Inbox(10)
    for number in range(100):
        inbox.put(delivery(number))
    await inbox.drained(0.01)
    assert delivered == list(range(90, 100))
    assert inbox.dropped == 90
