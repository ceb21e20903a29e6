"""An upstream server on HTTP is watched although no connection to it has to stay open."""

import asyncio

import pytest

from fairlead_sidecar.config import McpServer
from fairlead_sidecar.upstream import server as server_module
from fairlead_sidecar.upstream.errors import LinkDown
from fairlead_sidecar.upstream.http import http_wire
from fairlead_sidecar.upstream.server import UpstreamServer
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, eventually, free_port
from tests.integration.upstream.http_servers import Seen, http_server, mcp_app, serving
from tests.integration.upstream.local_wire import Person, call, text


@pytest.mark.parametrize("kind", ["stream", "json"])
async def test_a_server_that_goes_away_while_nobody_uses_it_is_noticed_and_so_is_its_return(
    kind: str, sshd: Sshd, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "LOOK_INTERVAL", 0.2)
    monkeypatch.setattr(server_module, "FIRST_PAUSE", 0.1)
    link, port = start_link(sshd.sidecar_config()).link, free_port()
    spec = McpServer(name="web", server=http_server(port, kind))

    async def told(*_: object) -> None:
        pass

    server = UpstreamServer(spec, http_wire(http_server(port, kind), link.open_connection), lambda: None, told)
    server.start()
    try:
        async with serving(mcp_app(kind, Seen()), port=port):
            await eventually(lambda: server.status().ready, "the server is ready")
        await eventually(lambda: server.status().reason == "NotListening", "its end is noticed")
        assert server.catalogue.tools == ()
        async with serving(mcp_app(kind, Seen()), port=port):
            await eventually(lambda: server.status().ready, "the server is ready")
            session = await server.session("a")
            assert text(await session.request("tools/call", call("noop"), Person())) == "ok"
    finally:
        await asyncio.wait_for(server.stop(LinkDown("The test is over.")), 60)
