"""The internal port, the metrics and the audit trail."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead_sidecar.config import CommandPolicy, Policy
from fairlead_sidecar.sidecar import POLL_INTERVAL
from tests.integration.app.endpoint import (
    INITIALIZE,
    RunningEndpoint,
    call,
    initialize,
    modern_headers,
    request,
    until,
)
from tests.integration.sshd import Sshd

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


async def scrape(endpoint: RunningEndpoint) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    async with httpx.AsyncClient() as http:
        answer = await http.get(f"{endpoint.internal_url}/metrics")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    return frozenset(values.items())


async def test_status_answers_at_once_and_polls_until_something_changes(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        url = f"{endpoint.internal_url}/statusz"
        first = (await http.get(url)).json()
        assert first["link"]["state"] == "Connected"
        assert first["link"]["host_key_fingerprint"] == sshd.fingerprint
        same = (await http.get(url, params={"after": first["version"], "timeout": 0.2})).json()
        assert same == first
        poll = asyncio.create_task(http.get(url, params={"after": first["version"], "timeout": 20}))
        endpoint.reconfigure(generation=7)
        changed = (await poll).json()
        assert changed["version"] != first["version"]
        await endpoint.settled()
        await until(lambda: endpoint.sidecar.status().config_digest != first["config_digest"], "the new digest")
        stale = (await http.get(url, params={"after": "another process's", "timeout": 20})).json()
        assert stale == endpoint.sidecar.status().model_dump(mode="json")
        for timeout in ("-1", "61", "soon", "nan"):
            answer = await http.get(url, params={"timeout": timeout})
            assert (answer.status_code, answer.json()["error"]) == (400, "bad_request")


async def test_ready_does_not_depend_on_the_host(hostless: RunningEndpoint) -> None:
    await until(lambda: hostless.sidecar.status().link.state.value == "Failed", "the failed try")
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{hostless.internal_url}/readyz")).status_code == 200
        status = (await http.get(f"{hostless.internal_url}/statusz")).json()
    assert status["link"]["reason"] == "Unreachable"


async def test_metrics_count_calls_denials_sessions_and_the_link(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    endpoint.reconfigure(generation=3, policy=Policy(commands=CommandPolicy(deny=("forbidden",))))
    await endpoint.settled()
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        for message in (
            call("execute_command", command="printf 12345"),
            call("execute_command", command="forbidden"),
            call("read_file", path="/no/such/file"),
            call("whatever"),
        ):
            await http.post(endpoint.url, json=message, headers=headers)
        await http.post(endpoint.url, json=INITIALIZE, headers={"Authorization": "none"})
        samples = await scrape(endpoint)
    assert samples["fairlead_calls_total", labels(tool="execute_command", outcome="ok")] == 1
    assert samples["fairlead_calls_total", labels(tool="execute_command", outcome="policy_denied")] == 1
    assert samples["fairlead_calls_total", labels(tool="read_file", outcome="file_error")] == 1
    assert samples["fairlead_calls_total", labels(tool="unknown", outcome="unknown_tool")] == 1
    assert samples["fairlead_call_duration_seconds_count", labels(tool="execute_command")] == 2
    assert samples["fairlead_denied_total", labels(reason="policy_denied")] == 1
    assert samples["fairlead_denied_total", labels(reason="malformed_token")] == 1
    assert samples["fairlead_ssh_connected", labels()] == 1
    assert samples["fairlead_ssh_reconnects_total", labels()] == 0
    assert samples["fairlead_sessions", labels()] == 1
    assert samples["fairlead_config_generation", labels()] == 3
    assert samples["fairlead_bytes_total", labels(direction="received")] >= 5
    assert samples["process_resident_memory_bytes", labels()] > 0
    sshd.restart()
    await until(lambda: endpoint.sidecar.status().link.state.value != "Connected", "the loss")
    await until(lambda: endpoint.sidecar.status().link.state.value == "Connected", "the link to come back")
    assert (await scrape(endpoint))["fairlead_ssh_reconnects_total", labels()] == 1


@pytest.mark.parametrize("era", ["handshake", "modern"])
async def test_a_call_is_one_audit_line_with_who_what_where_and_how(endpoint: RunningEndpoint, era: str) -> None:
    message = call("execute_command", modern=era == "modern", command="exit 4")
    async with endpoint.http() as http:
        headers = modern_headers(message) if era == "modern" else await initialize(http, endpoint.url)
        headers |= {"traceparent": TRACEPARENT, "X-Forwarded-For": "203.0.113.7"}
        await http.post(endpoint.url, json=message, headers=headers)
    (line,) = endpoint.audit()
    assert line.pop("time")
    assert line.pop("duration_seconds") > 0
    assert line == {
        "log": "audit",
        "kind": "call",
        "subject": "agent",
        "token_id": endpoint.token.split("_")[1],
        "client": "by-hand",
        "client_version": "1",
        "address": "127.0.0.1",
        "forwarded_for": "203.0.113.7",
        "namespace": "shop",
        "host": "web-01",
        "tool": "execute_command",
        "command": "exit 4",
        "exit_code": 4,
        "output_bytes": 0,
        "decision": "allow",
        "outcome": "ok",
        "trace_id": TRACE,
    }


async def test_a_trace_is_taken_from_the_message_too_and_else_made_up(endpoint: RunningEndpoint) -> None:
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        message = call("connection_status")
        message["params"]["_meta"] = {"traceparent": TRACEPARENT}
        await http.post(endpoint.url, json=message, headers=headers)
        for bad in ("00-zz-00-01", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"):
            await http.post(endpoint.url, json=call("connection_status"), headers=headers | {"traceparent": bad})
    first, *others = [line["trace_id"] for line in endpoint.audit("call")]
    assert first == TRACE
    assert len({*others, TRACE}) == 3


async def test_an_agent_cannot_forge_an_audit_line(endpoint: RunningEndpoint) -> None:
    forged = '{"log":"audit","kind":"call","subject":"somebody else"}'
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        for line_break in ("\n", "\r", "\u2028", "\x85", "\x0b"):
            command = f"true #{line_break}{forged}"
            await http.post(endpoint.url, json=call("execute_command", command=command), headers=headers)
            await http.post(endpoint.url, json=call(f"x{line_break}{forged}"), headers=headers)
    text = endpoint.audit_stream.getvalue()
    assert text.isascii()
    assert len(text.splitlines()) == 10
    assert all(json.loads(line)["subject"] == "agent" for line in text.splitlines())


async def test_a_long_command_is_cut_in_the_audit_trail_and_named_by_its_hash(endpoint: RunningEndpoint) -> None:
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        command = "true " + "x" * 10_000
        await http.post(endpoint.url, json=call("execute_command", command=command), headers=headers)
    (line,) = endpoint.audit()
    assert len(line["command"]) == 4096
    assert len(line["command_sha256"]) == 64


async def test_no_token_and_no_file_content_ever_appears_in_audit_log_metrics_or_status(
    endpoint: RunningEndpoint, sshd: Sshd, tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "fairlead_sidecar")
    caplog.set_level("INFO", "mcp")
    content = "the-content-of-a-file"
    bad = endpoint.token[:-1] + ("0" if endpoint.token[-1] != "0" else "1")
    async with endpoint.http() as http:
        headers = await initialize(http, endpoint.url)
        for message in (
            call("write_file", path=str(tmp_path / "x"), content=content),
            call("read_file", path=str(tmp_path / "x")),
            call("execute_command", command=f"curl -H 'Authorization: Bearer {endpoint.token}' http://127.0.0.1:9/"),
            call("read_file", path=f"/tmp/{endpoint.token}"),
            call(endpoint.token),
            request("tools/list"),
        ):
            await http.post(endpoint.url, json=message, headers=headers)
        await http.post(f"{endpoint.url}?token={endpoint.token}", json=INITIALIZE, headers=endpoint.bearer(bad))
        await http.post(f"{endpoint.origin}/{endpoint.token}", json=INITIALIZE, headers={"User-Agent": endpoint.token})
        await http.post(f"{endpoint.origin}/{bad}", json=INITIALIZE, headers={"Authorization": f"Basic {bad}"})
        status = (await http.get(f"{endpoint.internal_url}/statusz")).text
        metrics = (await http.get(f"{endpoint.internal_url}/metrics")).text
    key = (sshd.secret / "ssh-privatekey").read_text()
    everything = endpoint.audit_stream.getvalue() + caplog.text + status + metrics
    assert len(endpoint.audit()) == 8
    for secret in (endpoint.token, bad, endpoint.token.split("_")[2], endpoint.probe, content, key.splitlines()[2]):
        assert secret not in everything
    assert "REDACTED" in everything


def next_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


async def test_statusz_tells_the_hour_in_which_a_token_was_used_last(hostless: RunningEndpoint) -> None:
    (grant,) = hostless.config.tokens
    # What would also change the version: the first try to reach the host, and the next hour.
    await until(lambda: hostless.sidecar.status().link.state.value == "Failed", "the failed try")
    await until(lambda: datetime.now(UTC) + timedelta(seconds=30) < next_hour(), "the next hour")
    async with httpx.AsyncClient() as internal, hostless.http() as http:

        async def statusz() -> dict[str, Any]:
            answer: dict[str, Any] = (await internal.get(f"{hostless.internal_url}/statusz")).json()
            return answer

        async def used() -> bool:
            return bool((await statusz())["last_used"])

        assert not await used()
        assert (await http.post(hostless.url, json=INITIALIZE, headers=hostless.bearer("x"))).status_code == 401
        assert (await http.post(hostless.url, json=INITIALIZE, headers=hostless.bearer(hostless.probe))).is_success
        assert not await used()
        before = (await statusz())["version"]
        assert (await http.post(hostless.url, json=INITIALIZE)).is_success
        await until(used, "the use to be told")
        told = await statusz()
        assert told["version"] != before
        hour = datetime.fromisoformat(told["last_used"][grant.uid])
        assert (hour.minute, hour.second) == (0, 0)
        assert timedelta() <= datetime.now(UTC) - hour <= timedelta(hours=1, minutes=1)
        await http.post(hostless.url, json=INITIALIZE)
        await asyncio.sleep(2 * POLL_INTERVAL)
        assert (await statusz())["version"] == told["version"]

        hostless.reconfigure(tokens=())
        await hostless.settled()
        await until(lambda: not hostless.sidecar.status().last_used, "the token to be forgotten")
