"""How many requests and commands a token may make."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import TokenGrant
from tests.integration.app.endpoint import (
    ERAS,
    INITIALIZE,
    RunningEndpoint,
    call,
    initialize,
    lines_of,
    modern_headers,
    processes,
    request,
    until,
)
from tests.integration.app.streams import events, sleeper


def limits(endpoint: RunningEndpoint, **changes: Any) -> None:
    endpoint.reconfigure(limits=endpoint.config.limits.model_copy(update=changes))


async def limited(endpoint: RunningEndpoint, token: TokenGrant | None = None, **changes: Any) -> None:
    if token is not None:
        endpoint.reconfigure(tokens=(*endpoint.config.tokens, token))
    limits(endpoint, **changes)
    await endpoint.settled()


PING = request("ping", modern=True)
LIST = request("tools/list", modern=True)


async def statuses(endpoint: RunningEndpoint, token: str | None, count: int) -> list[int]:
    async with endpoint.http(token) as http:
        return [
            (await http.post(endpoint.url, json=LIST, headers=modern_headers(LIST))).status_code for _ in range(count)
        ]


async def test_a_request_too_many_is_refused_with_the_time_to_wait(hostless: RunningEndpoint) -> None:
    await limited(hostless, requests_per_minute=2)
    async with hostless.http() as http:
        for _ in range(2):
            assert (await http.post(hostless.url, json=INITIALIZE)).status_code == 200
        refused = await http.post(hostless.url, json=INITIALIZE)
    assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["retry-after"] in refused.json()["message"]
    (line,) = hostless.audit("denial")
    assert (line["subject"], line["decision"], line["outcome"]) == ("agent", "deny", "rate_limited")
    registry = hostless.sidecar.metrics.registry
    assert registry.get_sample_value("fairlead_denied_total", {"reason": "rate_limited"}) == 1


async def test_the_tokens_of_one_owner_share_and_others_have_their_own(hostless: RunningEndpoint) -> None:
    sibling, grant = hostless.keyring.grant(uid=hostless.config.tokens[0].uid)
    other, another = hostless.keyring.grant()
    await limited(hostless, grant, requests_per_minute=3)
    await limited(hostless, another.model_copy(update={"rate_percent": 200}))
    assert await statuses(hostless, None, 2) == [200, 200]
    assert await statuses(hostless, sibling, 2) == [200, 429]
    assert await statuses(hostless, other, 7) == [*[200] * 6, 429]


async def test_another_limit_counts_what_was_before(hostless: RunningEndpoint) -> None:
    await limited(hostless, requests_per_minute=2)
    assert await statuses(hostless, None, 3) == [200, 200, 429]
    await limited(hostless, requests_per_minute=3)
    assert await statuses(hostless, None, 2) == [200, 429]
    await limited(hostless, requests_per_minute=None)
    assert await statuses(hostless, None, 1) == [200]


async def test_the_operators_probe_is_never_limited(hostless: RunningEndpoint) -> None:
    await limited(hostless, requests_per_minute=1)
    assert await statuses(hostless, hostless.probe, 5) == [200] * 5


async def test_a_cancellation_gets_through_and_so_does_the_end_of_a_session(endpoint: RunningEndpoint) -> None:
    await limited(endpoint, requests_per_minute=2)
    command, mark = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with events(http, "POST", endpoint.url, session, message):
            await until(lambda: len(processes(mark)) == 1, "the command to run")
            assert (await http.post(endpoint.url, json=request("ping") | {"id": 2}, headers=session)).status_code == 429
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
            assert (await http.post(endpoint.url, json=cancelled, headers=session)).status_code == 202
            await until(lambda: not processes(mark), "the command to die")
        answer = {"jsonrpc": "2.0", "id": 7, "result": {}}
        assert (await http.post(endpoint.url, json=answer, headers=session)).status_code == 202
        assert (await http.delete(endpoint.url, headers=session)).status_code == 200


@pytest.mark.parametrize("body", ["[]", "7", "{}", '{"jsonrpc": "2.0"}', "\x00"])
async def test_what_is_no_message_counts_as_a_request(hostless: RunningEndpoint, body: str) -> None:
    await limited(hostless, requests_per_minute=1)
    async with hostless.http() as http:
        answers = [await http.post(hostless.url, content=body, headers=modern_headers(LIST)) for _ in range(2)]
    assert [answer.status_code for answer in answers][1] == 429


async def used(endpoint: RunningEndpoint, tool: str, **arguments: Any) -> dict[str, Any]:
    message = call(tool, modern=True, **arguments)
    async with endpoint.http() as http:
        (answer,) = lines_of(await http.post(endpoint.url, json=message, headers=modern_headers(message)))
    structured: dict[str, Any] = answer["result"]["structuredContent"]
    return structured


async def test_a_command_too_many_is_an_error_that_says_when(endpoint: RunningEndpoint) -> None:
    await limited(endpoint, commands_per_hour=2)
    assert (await used(endpoint, "execute_command", command="echo 1"))["stdout"] == "1\n"
    assert (await used(endpoint, "execute_script", script="echo 2"))["stdout"] == "2\n"
    refused = await used(endpoint, "execute_command", command="echo 3")
    assert (refused["code"], refused["retriable"]) == ("rate_limited", True)
    assert "2 commands an hour" in refused["message"]
    assert "Try again in 3" in refused["hint"]
    line = endpoint.audit("call")[-1]
    assert (line["decision"], line["outcome"], line["command"]) == ("deny", "rate_limited", "echo 3")
    registry = endpoint.sidecar.metrics.registry
    assert registry.get_sample_value("fairlead_denied_total", {"reason": "rate_limited"}) == 1
    assert (await used(endpoint, "connection_status"))["host"] == "web-01"


async def test_what_was_refused_before_it_began_does_not_count(endpoint: RunningEndpoint) -> None:
    await limited(endpoint, commands_per_hour=1)
    assert (await used(endpoint, "execute_command", command=" "))["code"] == "invalid_request"
    assert (await used(endpoint, "execute_command", command="id", sudo=True))["code"] == "policy_denied"
    assert (await used(endpoint, "execute_command", command="echo 1"))["stdout"] == "1\n"


async def test_no_more_commands_run_at_a_time_than_may(endpoint: RunningEndpoint) -> None:
    await limited(endpoint, concurrent_commands=2, commands_per_hour=3)
    command, mark = sleeper()
    ids = [(await used(endpoint, "execute_command", command=command, wait_seconds=0))["command_id"] for _ in range(2)]
    refused = await used(endpoint, "execute_command", command="echo 3")
    assert (refused["code"], refused["retriable"]) == ("host_busy", True)
    assert "command_cancel" in refused["hint"]
    assert (await used(endpoint, "command_cancel", command_id=ids[0]))["stopped"] == "cancelled"
    # The refused one was not counted.
    assert (await used(endpoint, "execute_command", command="echo 3"))["stdout"] == "3\n"
    await used(endpoint, "command_cancel", command_id=ids[1])
    await until(lambda: not processes(mark), "the commands to die")


async def test_calls_at_the_same_time_are_counted_too(endpoint: RunningEndpoint, tmp_path: Path) -> None:
    await limited(endpoint, concurrent_commands=3)
    command = f"until [ -e {tmp_path}/go ]; do sleep 0.05; done"
    calls = [asyncio.create_task(used(endpoint, "execute_command", command=command)) for _ in range(8)]
    await until(lambda: sum(call.done() for call in calls) == 5, "those too many to be refused")
    (tmp_path / "go").touch()
    results = await asyncio.gather(*calls)
    assert [result.get("code") for result in results].count("host_busy") == 5


@pytest.mark.parametrize("era", ERAS)
async def test_the_sdks_client_gets_an_error_and_goes_on_afterwards(hostless: RunningEndpoint, era: str) -> None:
    async with hostless.client(era) as client:
        await client.list_tools()
        await limited(hostless, requests_per_minute=1)
        assert not (await client.call_tool("connection_status", {})).is_error
        with pytest.raises(MCPError):
            await client.call_tool("connection_status", {})
        await limited(hostless, requests_per_minute=None)
        assert not (await client.call_tool("connection_status", {})).is_error
