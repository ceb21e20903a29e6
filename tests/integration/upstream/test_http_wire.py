"""MCP servers on HTTP behind a real sshd."""

import asyncio
import logging
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fairlead_sidecar.config import Header, SecretValue
from fairlead_sidecar.upstream.errors import EndpointNotFound, SecretNotFound, Unauthorized
from fairlead_sidecar.upstream.http_headers import HeaderInvalid
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, eventually
from tests.integration.upstream.http_servers import (
    Replay,
    Seen,
    http_server,
    mcp_app,
    serving,
    session_with,
)
from tests.integration.upstream.local_wire import Person, call, text


@pytest.mark.parametrize("kind", ["stream", "json"])
@pytest.mark.parametrize(("probe", "version"), [(True, "2026-07-28"), (False, "2025-11-25")])
async def test_streamable_http_is_spoken_in_both_eras(
    kind: str, probe: bool, version: str, sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with (
        serving(mcp_app(kind, Seen())) as port,
        session_with(link, http_server(port), probe=probe) as session,
    ):
        assert session.catalogue.protocol_version == version
        assert "noop" in {tool["name"] for tool in session.catalogue.tools}
        assert text(await session.request("tools/call", call("noop"))) == "ok"


async def test_the_older_transport_with_sse_is_spoken(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(mcp_app("sse", Seen())) as port, session_with(link, http_server(port, "sse")) as session:
        assert text(await session.request("tools/call", call("noop"))) == "ok"
        assert len(text(await session.request("tools/call", call("big", size=5_000_000)))) > 4_900_000


@pytest.mark.parametrize("probe", [True, False])
async def test_progress_of_two_calls_reaches_who_called(probe: bool, sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with (
        serving(mcp_app("stream", Seen())) as port,
        session_with(link, http_server(port), probe=probe) as session,
    ):
        anna, ben = Person("anna"), Person("ben")
        await asyncio.gather(
            session.request("tools/call", call("count", "t", n=5), anna),
            session.request("tools/call", call("count", "t", n=9), ben),
        )
        assert len(anna.progressed) == 5
        assert len(ben.progressed) == 9


@pytest.mark.parametrize("kind", ["stream", "json"])
async def test_calls_one_after_another_share_their_connections(kind: str, sshd: Sshd, start_link: StartLink) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with serving(mcp_app(kind, seen)) as port, session_with(link, http_server(port), probe=False) as session:
        for _ in range(30):
            await session.request("tools/call", call("noop"))
    # One for the stream of what belongs to no call; and an answer is there before its stream has ended.
    assert len(seen.connections) <= 5


@pytest.mark.parametrize("probe", [True, False])
async def test_a_cancelled_call_is_cancelled_at_the_server(probe: bool, sshd: Sshd, start_link: StartLink) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with (
        serving(mcp_app("stream", seen)) as port,
        session_with(link, http_server(port), probe=probe) as session,
    ):
        waiting = asyncio.create_task(session.request("tools/call", call("wait")))
        await eventually(lambda: seen.waiting == 1, "the call")
        waiting.cancel()
        await eventually(lambda: seen.cancelled == 1, "the call's end")
        assert text(await session.request("tools/call", call("noop"))) == "ok"


async def test_a_change_of_the_tools_is_noticed_between_calls(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with (
        serving(mcp_app("stream", Seen())) as port,
        session_with(link, http_server(port), probe=False) as session,
    ):
        await session.request("tools/call", call("grow"))
        await eventually(lambda: any(t["name"] == "grown" for t in session.catalogue.tools), "the new tool")


async def test_an_answer_is_fetched_that_the_server_lets_wait(sshd: Sshd, start_link: StartLink) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with (
        serving(mcp_app("stream", seen, event_store=Replay())) as port,
        session_with(link, http_server(port), probe=False) as session,
    ):
        assert text(await session.request("tools/call", call("pause"))) == "after the pause"
    assert any("last-event-id" in headers for _, headers in seen.requests)


async def test_the_session_is_ended_at_the_server(sshd: Sshd, start_link: StartLink) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    async with serving(mcp_app("stream", seen)) as port:
        async with session_with(link, http_server(port), probe=False):
            pass
        assert seen.requests[-1][0] == "DELETE"


async def test_a_redirect_is_followed_at_the_origin_only(sshd: Sshd, start_link: StartLink) -> None:
    link, elsewhere = start_link(sshd.sidecar_config()).link, Seen()
    async with serving(mcp_app("stream", Seen())) as port, serving(mcp_app("stream", elsewhere)) as other:
        real = mcp_app("stream", Seen())

        async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # as ASGI has it
            if scope["type"] == "http" and scope["path"] == "/short":
                await RedirectResponse("/mcp", status_code=307)(scope, receive, send)
            elif scope["type"] == "http" and scope["path"] == "/away":
                await RedirectResponse(f"http://127.0.0.1:{other}/mcp", status_code=307)(scope, receive, send)
            else:
                await real(scope, receive, send)

        async with serving(app) as redirecting:
            url = f"http://127.0.0.1:{redirecting}"
            async with session_with(link, http_server(port, url=f"{url}/short")) as session:
                assert text(await session.request("tools/call", call("noop"))) == "ok"
            with pytest.raises(EndpointNotFound, match=f"redirects to http://127.0.0.1:{other}/mcp"):
                async with session_with(link, http_server(port, url=f"{url}/away")):
                    pass
    assert elsewhere.requests == []


async def test_nothing_is_taken_from_the_environment(
    sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login anna password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    async with serving(mcp_app("json", seen)) as port, session_with(link, http_server(port)):
        pass
    assert not any("authorization" in headers for _, headers in seen.requests)


def secret_header(file: Path) -> Header:
    return Header(name="Authorization", secret=SecretValue(file=file, name="hn/token"))


async def test_headers_are_sent_with_their_values_from_secrets(
    sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    link, seen = start_link(sshd.sidecar_config()).link, Seen()
    (tmp_path / "token").write_text("Bearer one\n")
    headers = (Header(name="X-Tenant", value="shop"), secret_header(tmp_path / "token"))
    async with (
        serving(mcp_app("stream", seen)) as port,
        session_with(link, http_server(port, headers=headers)) as session,
    ):
        await session.request("tools/call", call("noop"))
    assert {(h["x-tenant"], h["authorization"]) for _, h in seen.requests} == {("shop", "Bearer one")}


async def test_a_secret_that_was_changed_is_read_again_when_the_old_one_is_refused(
    sshd: Sshd, start_link: StartLink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    link = start_link(sshd.sidecar_config()).link
    token = tmp_path / "token"
    token.write_text("Bearer one")
    accepted = ["Bearer one"]
    real = mcp_app("stream", Seen())

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # as ASGI has it
        if scope["type"] == "http" and Request(scope).headers.get("authorization") not in accepted:
            await Response("no such token", 401)(scope, receive, send)
        else:
            await real(scope, receive, send)

    async with serving(app) as port:
        server = http_server(port, headers=(secret_header(token),))
        async with session_with(link, server, probe=False) as session:
            token.write_text("Bearer two")
            accepted[:] = ["Bearer two"]
            assert text(await session.request("tools/call", call("noop"))) == "ok"
            accepted[:] = []
            with pytest.raises(Unauthorized, match="HTTP 401: «no such token»"):
                await session.request("tools/call", call("noop"))
            assert isinstance(await session.ended(), Unauthorized)
    assert "Bearer" not in caplog.text


async def test_a_secret_that_is_not_there_is_named(sshd: Sshd, start_link: StartLink, tmp_path: Path) -> None:
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(SecretNotFound, match="Authorization needs Secret hn/token"):
        async with session_with(link, http_server(1, headers=(secret_header(tmp_path / "none"),))):
            pass


@pytest.mark.parametrize("name", ["Host", "content-length", "Mcp-Session-Id", "MCP-Protocol-Version", "Accept"])
async def test_headers_of_the_protocol_cannot_be_configured(name: str, sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    with pytest.raises(HeaderInvalid, match=name):
        async with session_with(link, http_server(1, headers=(Header(name=name, value="x"),))):
            pass


async def test_a_value_that_no_header_may_have_is_refused_without_showing_it(
    sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    link = start_link(sshd.sidecar_config()).link
    (tmp_path / "token").write_bytes(b"swordfish\nX-Other: 1")
    with pytest.raises(HeaderInvalid) as raised:
        async with session_with(link, http_server(1, headers=(secret_header(tmp_path / "token"),))):
            pass
    assert "swordfish" not in raised.value.message
