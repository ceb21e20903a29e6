"""Handshake-era clients that lose a stream: they can take it up again, and their commands die when they don't."""

import asyncio
import gc
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from mcp.client.streamable_http import streamable_http_client
from mcp.server.streamable_http import REQUEST_CANCELLED
from mcp_types import CallToolResult, TextContent

from fairlead_sidecar.access import events as log
from fairlead_sidecar.access import sse
from fairlead_sidecar.access.resumable import RETRY_MILLISECONDS, ResumableSessions
from tests.integration.app.endpoint import RunningEndpoint, call, initialize, lines_of, processes, request, until
from tests.integration.app.streams import Events, events, sleeper

LIMIT = 2.0
"""Seconds that ending a command may take once it is due."""
GRACE = 3.0
"""Seconds that a client of these tests has to come back: as long as a slow machine needs for it."""


def limits(endpoint: RunningEndpoint, **changes: Any) -> None:
    endpoint.reconfigure(limits=endpoint.config.limits.model_copy(update=changes))


def manager(endpoint: RunningEndpoint) -> ResumableSessions:
    sessions = endpoint.sidecar.sessions._manager
    assert sessions is not None
    return sessions


class Gate:
    """A command that ends when the test says so."""

    def __init__(self, directory: Path) -> None:
        self.file = directory / "go"
        self.command = f"while [ ! -e {self.file} ]; do sleep 0.02; done; echo late"

    def open(self) -> None:
        self.file.touch()


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[Gate]:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_mode & 0o777 == 0o700 and parent != Path("/"):
            parent.chmod(0o755)
    gate = Gate(tmp_path)
    yield gate
    gate.open()


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, answers come soon."""
    monkeypatch.setattr(sse, "OPENING_SECONDS", 60.0)


def resuming(session: dict[str, str], stream: Events) -> dict[str, str]:
    return session | {"Last-Event-ID": stream.ids[-1]}


def has_ended(stream: Events) -> bool:
    return stream.ended


def has_status(stream: Events, status: int) -> bool:
    return stream.status == status


def stdout(message: dict[str, Any]) -> str:
    text: str = message["result"]["structuredContent"]["stdout"]
    return text


async def test_a_client_that_reconnects_gets_the_answer_of_a_command_that_ended_meanwhile(
    endpoint: RunningEndpoint, gate: Gate
) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=gate.command)
        async with events(http, "POST", endpoint.url, session, message) as lost:
            await until(lambda: bool(processes(str(gate.file))) and bool(lost.ids), "the command to run")
            assert lost.retry == RETRY_MILLISECONDS
        gate.open()
        await until(lambda: bool(endpoint.audit("call")), "the command to end")
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as resumed:
            await until(lambda: resumed.ended, "the stream to end behind the answer")
    assert resumed.status == 200
    assert [stdout(answer) for answer in resumed.answers] == ["late\n"]
    assert endpoint.audit("call")[-1]["outcome"] == "ok"


async def test_a_client_that_reconnects_in_time_waits_on_for_its_command(endpoint: RunningEndpoint, gate: Gate) -> None:
    limits(endpoint, disconnect_grace=GRACE)
    await endpoint.settled()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=gate.command)
        async with events(http, "POST", endpoint.url, session, message) as stream:
            await until(lambda: bool(processes(str(gate.file))) and bool(stream.ids), "the command to run")
        for _ in range(3):
            headers = resuming(session, stream)
            async with events(http, "GET", endpoint.url, headers) as stream:
                await until(partial(has_status, stream, 200), "the stream")
                assert not manager(endpoint)._abandoned
        began = time.monotonic()
        async with events(http, "GET", endpoint.url, resuming(session, stream)) as stream:
            await until(lambda: time.monotonic() - began > GRACE + 0.5, "longer than the grace")
            gate.open()
            await until(lambda: stream.ended, "the answer")
    assert [stdout(answer) for answer in stream.answers] == ["late\n"]


async def test_progress_that_was_missed_comes_again_in_order_and_only_once(
    endpoint: RunningEndpoint, gate: Gate
) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        command = f"for i in 1 2 3 4 5; do echo line $i; sleep 0.15; done; {gate.command}"
        message = request(
            "tools/call",
            {"name": "execute_command", "arguments": {"command": command}, "_meta": {"progressToken": "p"}},
        )
        async with events(http, "POST", endpoint.url, session, message) as first:
            await until(lambda: len(first.messages) >= 2, "progress")
        async with events(http, "GET", endpoint.url, resuming(session, first)) as second:
            gate.open()
            await until(lambda: second.ended, "the answer")
    progress = [
        note["params"]["progress"]
        for note in first.messages + second.messages
        if note.get("method") == "notifications/progress"
    ]
    assert progress == sorted(set(progress))
    assert len({*first.ids, *second.ids}) == len(first.ids) + len(second.ids) - 1  # the one it begins behind
    assert stdout(second.answers[0]).endswith("line 5\nlate\n")


async def test_a_command_nobody_comes_back_for_is_killed_after_the_grace(endpoint: RunningEndpoint) -> None:
    limits(endpoint, disconnect_grace=1.5)
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)) as lost:
            await until(lambda: len(processes(marker)) == 1 and bool(lost.ids), "the command to run")
            gone = time.monotonic()
        await until(lambda: not processes(marker), "the command to die", seconds=1.5 + LIMIT)
        assert time.monotonic() - gone >= 1.5
        await until(lambda: bool(endpoint.audit("call")), "the audit line")
        assert endpoint.audit("call")[-1]["outcome"] == "cancelled"
        # Whoever comes back too late is told.
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as late:
            await until(lambda: late.ended, "the stream to end")
        assert [answer["error"]["code"] for answer in late.answers] == [-32800]
        assert (await http.post(endpoint.url, json=request("ping"), headers=session)).status_code == 200


async def test_a_shorter_grace_holds_for_clients_that_are_gone_already(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)):
            await until(lambda: len(processes(marker)) == 1, "the command to run")
        await until(lambda: bool(manager(endpoint)._abandoned), "the stream to be gone")
        limits(endpoint, disconnect_grace=0.0)
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)


async def test_a_client_that_comes_back_and_goes_again_gets_the_grace_anew_and_no_longer(
    endpoint: RunningEndpoint,
) -> None:
    limits(endpoint, disconnect_grace=GRACE)
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)) as lost:
            await until(lambda: len(processes(marker)) == 1 and bool(lost.ids), "the command to run")
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as resumed:
            began = time.monotonic()
            await until(lambda: time.monotonic() - began > GRACE + 0.3, "longer than the grace")
            assert len(processes(marker)) == 1
            assert not resumed.ended
        await until(lambda: not processes(marker), "the command to die", seconds=GRACE + LIMIT)


async def test_ending_the_session_kills_a_command_whose_stream_was_lost_at_once(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)) as lost:
            await until(lambda: len(processes(marker)) == 1 and bool(lost.ids), "the command to run")
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as resumed:
            await until(lambda: resumed.status == 200, "the stream")
            assert (await http.delete(endpoint.url, headers=session)).status_code == 200
            await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
            await until(lambda: resumed.ended, "the stream to end", seconds=LIMIT)
    await until(lambda: manager(endpoint).backlog.size == 0, "its events to be forgotten")


async def test_cancelling_kills_a_command_whose_stream_was_taken_up_again(endpoint: RunningEndpoint) -> None:
    command, marker = sleeper()
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=command)
        async with events(http, "POST", endpoint.url, session, message) as lost:
            await until(lambda: len(processes(marker)) == 1 and bool(lost.ids), "the command to run")
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as resumed:
            await until(lambda: resumed.status == 200, "the stream")
            cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": message["id"]}}
            assert (await http.post(endpoint.url, json=cancelled, headers=session)).status_code == 202
            await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)
            await until(lambda: resumed.ended, "the answer")
    assert resumed.answers[0]["error"]["code"] == -32800


async def test_taking_a_stream_up_again_ends_the_connection_it_was_on(endpoint: RunningEndpoint, gate: Gate) -> None:
    """A network that is gone does not close connections: the sidecar must not wait for it to tell."""
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=gate.command)
        async with events(http, "POST", endpoint.url, session, message) as stale:
            await until(lambda: bool(processes(str(gate.file))) and bool(stale.ids), "the command to run")
            async with events(http, "GET", endpoint.url, resuming(session, stale)) as second:
                await until(lambda: stale.ended, "the first connection to be ended", seconds=LIMIT)
                async with events(http, "GET", endpoint.url, resuming(session, stale)) as third:
                    await until(lambda: second.ended, "the second connection to be ended", seconds=LIMIT)
                    gate.open()
                    await until(lambda: third.ended, "the answer")
    assert not stale.answers
    assert not second.answers
    assert [stdout(answer) for answer in third.answers] == ["late\n"]


async def test_another_token_cannot_take_up_the_stream(endpoint: RunningEndpoint, gate: Gate) -> None:
    token, grant = endpoint.keyring.grant(subject="thief")
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    async with endpoint.http() as http, endpoint.http(token) as thief:
        session = await initialize(http, endpoint.url)
        own = await initialize(thief, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=gate.command)) as lost:
            await until(lambda: bool(processes(str(gate.file))) and bool(lost.ids), "the command to run")
        stolen = await thief.get(endpoint.url, headers=resuming(session, lost))
        assert stolen.status_code == 404
        # Nor does the event's id lead anywhere from the other's own session.
        await thief.post(endpoint.url, json=request("ping"), headers=own)
        async with events(thief, "GET", endpoint.url, resuming(own, lost)) as other:
            gate.open()
            await until(lambda: other.ended or other.status == 400, "the stream to end")
        assert "late" not in str(other.messages)
    assert endpoint.audit("denial")[0]["outcome"] == "foreign_session"


async def test_revoking_a_token_cuts_a_stream_that_was_taken_up_again(endpoint: RunningEndpoint) -> None:
    token, grant = endpoint.keyring.grant()
    kept = endpoint.config.tokens
    endpoint.reconfigure(tokens=(*kept, grant))
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http(token) as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)) as lost:
            await until(lambda: len(processes(marker)) == 1 and bool(lost.ids), "the command to run")
        async with events(http, "GET", endpoint.url, resuming(session, lost)) as resumed:
            await until(lambda: resumed.status == 200, "the stream")
            began = time.monotonic()
            endpoint.reconfigure(tokens=kept)
            await until(lambda: resumed.ended and not processes(marker), "stream and command to end", seconds=LIMIT)
            assert time.monotonic() - began < LIMIT
        assert (await http.get(endpoint.url, headers=resuming(session, lost))).status_code == 401
    await until(lambda: endpoint.sidecar.sessions.count() == 0, "the session to end")
    await until(lambda: manager(endpoint).backlog.size == 0, "its events to be forgotten")


async def test_revoking_a_token_kills_a_command_whose_client_is_gone(endpoint: RunningEndpoint) -> None:
    token, grant = endpoint.keyring.grant()
    kept = endpoint.config.tokens
    endpoint.reconfigure(tokens=(*kept, grant))
    await endpoint.settled()
    command, marker = sleeper()
    async with endpoint.http(token) as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=command)):
            await until(lambda: len(processes(marker)) == 1, "the command to run")
        endpoint.reconfigure(tokens=kept)
        await until(lambda: not processes(marker), "the command to die", seconds=LIMIT)


@pytest.mark.parametrize("event", ["99-1", "x", "1", "-1", "1-", "1-x", "1-²", "0-0", "9" * 5000, "1--1"])
async def test_an_event_nobody_knows_is_refused(hostless: RunningEndpoint, event: str) -> None:
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        headers = [*session.items(), ("Last-Event-ID", event)]
        answer = await http.get(hostless.url, headers=[(name.encode(), value.encode()) for name, value in headers])
    assert (answer.status_code, answer.json()["error"]) == (400, "unknown_event")


async def test_the_stream_without_a_request_can_be_taken_up_again(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        async with events(http, "GET", hostless.url, session) as first:
            await until(lambda: first.status == 200, "the stream")
            await notify(hostless, session, "one")
            await until(lambda: len(first.messages) == 1, "the first notification")
        await notify(hostless, session, "two")
        async with events(http, "GET", hostless.url, resuming(session, first)) as second:
            await until(lambda: len(second.messages) == 1, "what was missed")
            await notify(hostless, session, "three")
            await until(lambda: len(second.messages) == 2, "what comes now")
            # A new one in its place, as by a client that has forgotten the old one.
            async with events(http, "GET", hostless.url, session) as third:
                await until(lambda: second.ended and third.status == 200, "the new stream")
    assert [note["params"]["data"] for note in second.messages] == ["two", "three"]


async def notify(endpoint: RunningEndpoint, session: dict[str, str], data: str) -> None:
    from mcp.shared.message import SessionMessage
    from mcp_types import JSONRPCNotification

    transport = manager(endpoint)._server_instances[session["Mcp-Session-Id"]]
    assert transport._write_stream is not None
    params = {"level": "info", "data": data}
    note = JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params=params)
    await transport._write_stream.send(SessionMessage(note))


async def test_what_is_kept_is_bounded_in_bytes_and_time(
    endpoint: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "TOTAL_BYTES", 300_000)
    monkeypatch.setattr(log, "RETENTION_SECONDS", 5.0)
    monkeypatch.setattr(sse, "OPENING_SECONDS", 0.0)
    backlog = manager(endpoint).backlog
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        lost: list[Events] = []
        for number in range(8):
            message = call("execute_command", command="head -c 60000 /dev/zero | tr '\\0' x") | {"id": number + 10}
            async with events(http, "POST", endpoint.url, session, message) as stream:
                await until(partial(has_ended, stream), "the answer")
            lost.append(stream)
            assert backlog.size <= 300_000
        # The oldest answer had to go, and its stream says so; the newest one is there.
        for stream, kept in ((lost[0], False), (lost[-1], True)):
            headers = session | {"Last-Event-ID": stream.ids[0]}
            async with events(http, "GET", endpoint.url, headers) as resumed:
                await until(partial(has_ended, resumed), "the stream to end")
            if resumed.status == 200:
                (answer,) = resumed.answers
                assert ("result" in answer) is kept
                assert answer["id"] == stream.answers[0]["id"]
            else:
                assert not kept
        await until(lambda: backlog.size == 0, "everything to be forgotten")


async def test_one_owner_cannot_push_out_what_is_kept_for_another(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "TOTAL_BYTES", 200_000)
    backlog = log.Backlog()
    quiet, loud = log.EventLog("quiet", backlog), log.EventLog("loud", backlog)
    from mcp_types import JSONRPCNotification

    def note(size: int) -> JSONRPCNotification:
        return JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={"data": "x" * size})

    kept = await quiet.store_event("1", note(1000))
    for number in range(100):
        await loud.store_event(str(number), note(10_000))
    assert quiet.text(kept) is not None
    assert backlog.size <= 200_000


async def test_the_sdks_client_resumes_by_itself(endpoint: RunningEndpoint, gate: Gate) -> None:
    """The connection breaks under it, as by a proxy that is restarted."""
    import httpx2
    from mcp import Client

    async with (
        httpx2.AsyncClient(headers=endpoint.bearer(), timeout=60) as http,
        Client(streamable_http_client(endpoint.url, http_client=http), mode="legacy") as client,
    ):

        async def run() -> CallToolResult:
            return await client.call_tool("execute_command", {"command": gate.command})

        task = asyncio.create_task(run())
        await until(lambda: bool(processes(str(gate.file))), "the command to run")
        for transport in manager(endpoint)._server_instances.values():
            for name in [name for name in transport._request_streams if name != "_GET_stream"]:
                transport.close_sse_stream(name)
        await until(lambda: bool(manager(endpoint)._abandoned), "the stream to break")
        await until(lambda: not manager(endpoint)._abandoned, "the client to come back")
        gate.open()
        result = await task
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == "late\n"
    assert isinstance(result.content[0], TextContent)


@pytest.mark.parametrize("again", [1, "1"])
async def test_an_id_that_is_under_way_is_refused_until_it_was_answered(
    endpoint: RunningEndpoint, gate: Gate, again: int | str
) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        first, second = (call("execute_command", command=command) for command in (gate.command, "echo second"))
        async with events(http, "POST", endpoint.url, session, first | {"id": 1}) as stream:
            await until(lambda: bool(processes(str(gate.file))) and bool(stream.ids), "the command to run")
            refused = await http.post(endpoint.url, headers=session, json=second | {"id": again})
            assert (refused.status_code, refused.json()["id"]) == (400, again)
            assert "under way" in refused.json()["error"]["message"]
            gate.open()
            await until(partial(has_ended, stream), "the answer")
            assert [stdout(message) for message in stream.messages] == ["late\n"]
        (answer,) = lines_of(await http.post(endpoint.url, headers=session, json=second | {"id": again}))
        assert stdout(answer) == "second\n"


async def test_the_name_of_the_standing_stream_is_no_id(endpoint: RunningEndpoint) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("connection_status") | {"id": "_GET_stream"}
        assert (await http.post(endpoint.url, headers=session, json=message)).status_code == 400


async def test_an_answer_that_comes_soon_and_by_itself_is_json_and_not_kept(
    endpoint: RunningEndpoint, unhurried: None
) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        before = manager(endpoint).backlog.size
        answer = await http.post(endpoint.url, headers=session, json=call("execute_command", command="echo soon"))
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["mcp-session-id"] == session["Mcp-Session-Id"]
        assert stdout(answer.json()) == "soon\n"
        assert manager(endpoint).backlog.size == before


async def test_nothing_is_left_of_requests_that_were_answered_with_json(
    hostless: RunningEndpoint, unhurried: None
) -> None:
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        gc.collect()
        before = sum(isinstance(each, log.Stream) for each in gc.get_objects())
        for number in range(20):
            answer = await http.post(hostless.url, headers=session, json=request("ping") | {"id": f"quick-{number}"})
            assert answer.headers["content-type"] == "application/json"
        gc.collect()
        assert sum(isinstance(each, log.Stream) for each in gc.get_objects()) <= before + 1


async def test_an_answer_that_comes_late_is_a_stream_that_has_begun_long_before(
    endpoint: RunningEndpoint, gate: Gate
) -> None:
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        async with events(http, "POST", endpoint.url, session, call("execute_command", command=gate.command)) as stream:
            await until(lambda: bool(stream.ids), "the stream to begin")
            assert stream.headers["content-type"] == "text/event-stream"
            assert not stream.messages
            gate.open()
            await until(partial(has_ended, stream), "the answer")
            assert [stdout(message) for message in stream.messages] == ["late\n"]


async def test_a_request_that_was_cancelled_soon_is_ended_by_an_event_all_the_same(
    endpoint: RunningEndpoint, gate: Gate
) -> None:
    cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    async with endpoint.http() as http:
        session = await initialize(http, endpoint.url)
        message = call("execute_command", command=gate.command)
        async with events(http, "POST", endpoint.url, session, message) as stream:
            await until(lambda: bool(endpoint.sidecar.work._items), "the call to be under way")
            await http.post(endpoint.url, headers=session, json=cancel)
            await until(partial(has_ended, stream), "the end")
            assert stream.headers["content-type"] == "text/event-stream"
            assert [answer["error"]["code"] for answer in stream.answers] == [REQUEST_CANCELLED]
