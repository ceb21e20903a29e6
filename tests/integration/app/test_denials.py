"""Whatever is refused is counted and leaves one line in the audit trail."""

import asyncio
from pathlib import Path

import httpx
import pytest

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.reload import FileSource
from tests.integration.app.endpoint import INITIALIZE, PATH, RunningEndpoint, initialize, request, running, until


def denied_total(endpoint: RunningEndpoint, reason: str) -> float:
    return endpoint.sidecar.metrics.registry.get_sample_value("fairlead_denied_total", {"reason": reason}) or 0.0


@pytest.mark.parametrize(
    ("method", "path", "headers", "size", "status", "reason"),
    [
        ("POST", "/elsewhere", {}, 2, 404, "not_found"),
        ("PUT", f"{PATH}/mcp", {}, 2, 405, "method_not_allowed"),
        ("GET", f"{PATH}/mcp", {"MCP-Protocol-Version": "2026-07-28"}, 0, 405, "method_not_allowed"),
        ("POST", f"{PATH}/mcp", {"Accept": "text/html"}, 2, 406, "not_acceptable"),
        ("POST", f"{PATH}/mcp", {}, 4 * 1024 * 1024 + 1, 413, "content_too_large"),
        ("POST", f"{PATH}/mcp", {"Content-Type": "text/plain"}, 2, 415, "unsupported_media_type"),
        ("POST", f"{PATH}/mcp", {"Mcp-Session-Id": "nobody"}, 2, 404, "unknown_session"),
    ],
)
async def test_a_refused_request_is_audited_and_counted(
    hostless: RunningEndpoint, method: str, path: str, headers: dict[str, str], size: int, status: int, reason: str
) -> None:
    async with hostless.http() as http:
        answer = await http.request(method, hostless.origin + path, headers=headers, content=b" " * size)
    assert answer.status_code == status
    await until(lambda: bool(hostless.audit()), "the audit line")
    (line,) = hostless.audit()
    assert (line["kind"], line["decision"], line["outcome"]) == ("denial", "deny", reason)
    assert (line["subject"], line["token_id"]) == ("agent", hostless.token.split("_")[1])
    assert (line["method"], line["path"]) == (method, path)
    assert denied_total(hostless, reason) == 1


async def test_an_attempt_on_the_session_of_another_token_is_audited(hostless: RunningEndpoint) -> None:
    token, grant = hostless.keyring.grant(subject="thief")
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http() as mine, hostless.http(token) as theirs:
        session = await initialize(mine, hostless.url)
        for method in ("POST", "GET", "DELETE"):
            message = request("ping") if method == "POST" else None
            answer = await theirs.request(method, hostless.url, json=message, headers=session)
            assert answer.status_code == 404
    await until(lambda: len(hostless.audit()) == 3, "the audit lines")
    assert {(line["subject"], line["outcome"]) for line in hostless.audit("denial")} == {("thief", "foreign_session")}
    assert denied_total(hostless, "foreign_session") == 3


async def test_what_comes_before_the_configuration_is_audited(unreachable: SidecarConfig, tmp_path: Path) -> None:
    source = FileSource(tmp_path / "config.json")
    async with running(unreachable, source=source, connected=False) as endpoint, httpx.AsyncClient() as http:
        assert (await http.post(endpoint.url, json=INITIALIZE, headers=endpoint.bearer())).status_code == 503
        (line,) = endpoint.audit()
        assert (line["kind"], line["outcome"]) == ("denial", "unavailable")
        assert denied_total(endpoint, "unavailable") == 1


@pytest.mark.parametrize("cut", ["before its body is there", "while it waits for messages"])
async def test_a_request_that_outlives_its_token_is_audited(hostless: RunningEndpoint, cut: str) -> None:
    token, grant = hostless.keyring.grant(subject="leaver")
    kept = hostless.config.tokens
    hostless.reconfigure(tokens=(*kept, grant))
    await hostless.settled()
    async with hostless.http(token) as http:
        session = await initialize(http, hostless.url)
    method = "GET" if cut.startswith("while") else "POST"
    length = {"Content-Length": "100", "Content-Type": "application/json"} if method == "POST" else {}
    names = hostless.bearer(token) | session | length | {"Host": "x", "Accept": "text/event-stream"}
    head = "".join(f"{name}: {value}\r\n" for name, value in names.items())
    reader, writer = await asyncio.open_connection(*hostless.public.getsockname())
    writer.write(f"{method} {PATH}/mcp HTTP/1.1\r\n{head}\r\n".encode())
    await until(
        lambda: any(item.caller.key == grant.secret_sha256 for item in hostless.sidecar.work._items), "the request"
    )
    if method == "GET":
        assert b" 200 " in await reader.readline()
    hostless.reconfigure(tokens=kept)
    await until(lambda: bool(hostless.audit()), "the audit line")
    (line,) = hostless.audit()
    assert (line["subject"], line["outcome"], line["method"]) == ("leaver", "revoked_token", method)
    assert denied_total(hostless, "revoked_token") == 1
    writer.close()
