"""What is wrong with a server on HTTP has a name, and says what to change."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from fairlead_sidecar.upstream.errors import (
    EndpointNotFound,
    Exited,
    ForwardingRefused,
    LinkDown,
    NotListening,
    NotResponding,
    ProtocolError,
    Unauthorized,
    UpstreamError,
)
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, eventually, free_port
from tests.integration.upstream.http_servers import (
    Seen,
    accepting,
    answering,
    http_server,
    mcp_app,
    serving,
    session_with,
)
from tests.integration.upstream.local_wire import call, text

PAGE = "<html><body>Welcome to nginx!</body></html>"


def plain(status: int) -> Callable[[Request], Response]:
    return lambda _: PlainTextResponse(f"status {status}", status)


@pytest.mark.parametrize("kind", ["stream", "sse"])
@pytest.mark.parametrize(
    ("response", "error", "message"),
    [
        (plain(404), EndpointNotFound, "answered with HTTP 404: there is no MCP at this path."),
        (plain(405), EndpointNotFound, "answered with HTTP 405: there is no MCP at this path."),
        (lambda _: HTMLResponse(PAGE), EndpointNotFound, "is a web page, not MCP."),
        (lambda _: HTMLResponse(PAGE, 404), EndpointNotFound, "HTTP 404"),
        (plain(200), EndpointNotFound, "answered with «text/plain», which is not MCP."),
        (plain(401), Unauthorized, "refused the request with HTTP 401: «status 401»."),
        (plain(403), Unauthorized, "refused the request with HTTP 403: «status 403»."),
        (plain(421), EndpointNotFound, "does not serve this host name"),
        (plain(500), UpstreamError, "answered with HTTP 500: «status 500»."),
        (plain(503), UpstreamError, "answered with HTTP 503: «status 503»."),
    ],
)
async def test_a_server_that_answers_something_else_is_described(
    kind: str,
    response: Callable[[Request], Response],
    error: type[UpstreamError],
    message: str,
    sshd: Sshd,
    start_link: StartLink,
) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(answering(response)) as port:
        with pytest.raises(error) as raised:
            async with session_with(link, http_server(port, kind)):
                pass
    assert message in raised.value.message
    assert f"http://127.0.0.1:{port}/" in raised.value.message
    assert raised.value.reason == error.reason


@pytest.mark.parametrize("body", ["not json", '{"jsonrpc": "1.0"}', "[]"])
async def test_an_answer_that_is_no_mcp_is_a_protocol_error(body: str, sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(answering(lambda _: Response(body, media_type="application/json"))) as port:
        with pytest.raises(ProtocolError):
            async with session_with(link, http_server(port)):
                pass


@pytest.mark.parametrize("kind", ["stream", "sse"])
async def test_nothing_listens(kind: str, sshd: Sshd, start_link: StartLink) -> None:
    link, port = start_link(sshd.sidecar_config()).link, free_port()
    with pytest.raises(NotListening, match=f"127.0.0.1:{port}"):
        async with session_with(link, http_server(port, kind)):
            pass


async def test_sshd_does_not_allow_it(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(options={"AllowTcpForwarding": "no"}).sidecar_config()).link
    async with serving(mcp_app("stream", Seen())) as port:
        with pytest.raises(ForwardingRefused, match=f"127.0.0.1:{port}") as raised:
            async with session_with(link, http_server(port)):
                pass
    assert "AllowTcpForwarding" in (raised.value.hint or "")


async def test_a_server_that_never_answers_is_given_up(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with accepting() as port:
        with pytest.raises(NotResponding):
            async with session_with(link, http_server(port), start_timeout=1.0):
                pass


async def test_what_is_no_http_at_all_is_said_to_be_so(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with accepting(b"220 mail.internal ready\r\n\r\n") as port:
        with pytest.raises(ProtocolError, match="does not speak HTTP"):
            async with session_with(link, http_server(port)):
                pass


@pytest.mark.parametrize("kind", ["stream", "json", "sse"])
async def test_a_link_that_is_lost_ends_the_calls_with_its_name(kind: str, sshd: Sshd, start_link: StartLink) -> None:
    running = start_link(sshd.sidecar_config())
    seen = Seen()
    async with (
        serving(mcp_app(kind, seen)) as port,
        session_with(running.link, http_server(port, kind), probe=False) as session,
    ):
        before = len(seen.requests)
        waiting = asyncio.create_task(session.request("tools/call", call("wait")))
        await eventually(lambda: len(seen.requests) > before, "the call")
        sshd.drop_connections()
        with pytest.raises(LinkDown):
            await waiting
        assert isinstance(await session.ended(), LinkDown)


@pytest.mark.parametrize("probe", [True, False])
async def test_a_port_that_closes_each_connection_belongs_to_something_else(
    probe: bool, sshd: Sshd, start_link: StartLink
) -> None:
    async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(close, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ProtocolError, match="closed the connection before it had answered") as failure:
            async with session_with(start_link(sshd.sidecar_config()).link, http_server(port), probe=probe):
                pass
    assert "Check that the URL's port" in failure.value.hint


async def test_a_server_that_ends_is_noticed_without_any_call(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(mcp_app("stream", Seen())) as port:
        opened = session_with(link, http_server(port), probe=False)
        session = await opened.__aenter__()
        await session.request("tools/call", call("noop"))
    async with asyncio.timeout(60):
        assert isinstance(await session.ended(), NotListening)
    await opened.__aexit__(None, None, None)


@pytest.mark.parametrize("kind", ["stream", "json"])
async def test_a_session_that_the_server_forgot_ends(kind: str, sshd: Sshd, start_link: StartLink) -> None:
    link, port = start_link(sshd.sidecar_config()).link, free_port()
    async with serving(mcp_app(kind, Seen()), port=port):
        opened = session_with(link, http_server(port), probe=False)
        session = await opened.__aenter__()
    async with serving(mcp_app(kind, Seen()), port=port):
        with pytest.raises(Exited, match="does not know the session any more"):
            await session.request("tools/call", call("noop"))
        assert isinstance(await session.ended(), Exited)
        await opened.__aexit__(None, None, None)
        async with session_with(link, http_server(port), probe=False) as another:
            assert text(await another.request("tools/call", call("noop"))) == "ok"


async def test_one_call_that_the_server_fails_does_not_end_the_session(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    real, failing = mcp_app("json", Seen()), [False]

    async def app(scope, receive, send):  # type: ignore[no-untyped-def]  # as ASGI has it
        if scope["type"] == "http" and failing[0]:
            await JSONResponse({"detail": "worker died"}, 502)(scope, receive, send)
        else:
            await real(scope, receive, send)

    async with serving(app) as port, session_with(link, http_server(port)) as session:
        failing[0] = True
        with pytest.raises(UpstreamError, match="HTTP 502") as raised:
            await session.request("tools/call", call("noop"))
        assert raised.value.retriable
        failing[0] = False
        assert text(await session.request("tools/call", call("noop"))) == "ok"
