"""The real m2m-mcp-server-ssh-server works unchanged, with its key server and with a pin."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse

from fairlead_sidecar.config import Connection, KeyServer, SshServer
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.upstream.errors import (
    AuthenticationFailed,
    EndpointNotFound,
    HostKeyMismatch,
    NotListening,
    ProtocolError,
    UpstreamError,
)
from fairlead_sidecar.upstream.key_server import KeyServerClient
from fairlead_sidecar.upstream.nested_ssh import ssh_wire
from fairlead_sidecar.upstream.session import UpstreamSession
from fairlead_sidecar.upstream.session_opening import open_session
from fairlead_sidecar.upstream.session_setup import Setup
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, free_port
from tests.integration.upstream.http_servers import answering, serving
from tests.integration.upstream.local_wire import call, text
from tests.integration.upstream.m2m import M2m, new_secret, running_m2m


@pytest.fixture(scope="module")
def m2m(tmp_path_factory: pytest.TempPathFactory) -> Iterator[M2m]:
    with running_m2m(tmp_path_factory.mktemp("m2m")) as running:
        yield running


@asynccontextmanager
async def session_with(link: Link, server: SshServer) -> AsyncIterator[UpstreamSession]:
    open_wire = ssh_wire(server, link.tunnel, name="m2m", settings=Connection())
    async with open_session(open_wire, Setup(server="m2m", start_timeout=60)) as session:
        yield session


async def test_its_two_backends_are_called_with_trust_and_login_by_its_key_server(
    m2m: M2m, sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    secret, _ = new_secret(tmp_path / "secret")
    async with session_with(start_link(sshd.sidecar_config()).link, m2m.server(secret)) as session:
        # It gives the second of two equal names a number.
        assert [tool["name"] for tool in session.catalogue.tools] == ["sh", "sh_1"]
        for tool in ("sh", "sh_1"):
            assert text(await session.request("tools/call", call(tool, command="echo hello"))) == "hello\n"


async def test_it_is_reached_with_its_host_key_pinned(
    m2m: M2m, sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    secret, key = new_secret(tmp_path / "secret")
    link = start_link(sshd.sidecar_config()).link
    await KeyServerClient(KeyServer(url=f"http://127.0.0.1:{m2m.key_server_port}"), link.open_connection).register(key)
    async with session_with(link, m2m.server(secret, pinned=m2m.host_key)) as session:
        assert text(await session.request("tools/call", call("sh", command="echo hello"))) == "hello\n"


async def test_its_host_key_is_refused_where_another_one_is_pinned(
    m2m: M2m, sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    secret, _ = new_secret(tmp_path / "secret")
    with pytest.raises(HostKeyMismatch) as raised:
        async with session_with(start_link(sshd.sidecar_config()).link, m2m.server(secret, pinned=sshd.host_key)):
            pass
    assert asyncssh.import_public_key(m2m.host_key).get_fingerprint() in raised.value.message
    assert sshd.fingerprint in raised.value.message


def key_server(answers: dict[str, Any], registered: list[str]) -> Any:
    """A key server that gives `answers` by path, and notes what is registered."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        if request.url.path == "/register":
            registered.append((await request.json())["client_pub_key"])
        response = JSONResponse(answers.get(request.url.path, {"status": "success"}))
        await response(scope, receive, send)

    return app


async def test_our_public_key_is_registered_only_where_the_login_was_refused(
    sshd: Sshd, start_link: StartLink, tmp_path: Path
) -> None:
    # An ordinary sshd knows nothing of the registration, so that its refusal stays.
    secret, key = new_secret(tmp_path / "secret")
    link = start_link(sshd.sidecar_config()).link
    registered: list[str] = []
    answers = {"/server_pub_key": {"server_pub_key": sshd.host_key}}
    async with serving(key_server(answers, registered)) as port:
        target = sshd.sidecar_config().target
        auth = sshd.sidecar_config().auth.model_copy(update={"directory": secret})
        trust = KeyServer(url=f"http://127.0.0.1:{port}/")
        stranger = SshServer(target=target, auth=auth, host_key=trust, command="cat")
        with pytest.raises(AuthenticationFailed):
            async with session_with(link, stranger):
                pass
        assert registered == [" ".join(key.export_public_key().decode().split()[:2])]
        registered.clear()
        known = SshServer(target=target, auth=sshd.sidecar_config().auth, host_key=trust, command="cat")
        async with ssh_wire(known, link.tunnel, name="m2m", settings=Connection())():
            pass
        assert registered == []


async def test_a_key_server_that_does_not_run_is_named(sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    port = free_port()
    client = KeyServerClient(KeyServer(url=f"http://127.0.0.1:{port}"), link.open_connection)
    with pytest.raises(NotListening, match=f"key server does not run.*{port}"):
        await client.host_key()


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (PlainTextResponse("no", 404), EndpointNotFound),
        (JSONResponse({"error": "Rate limit exceeded."}, 429), UpstreamError),
        (JSONResponse({"server_pub_key": "no key"}), ProtocolError),
        (JSONResponse(["no object"]), ProtocolError),
        (PlainTextResponse("no json"), ProtocolError),
    ],
)
async def test_a_key_server_that_answers_something_else_is_described(
    answer: Any, error: type[UpstreamError], sshd: Sshd, start_link: StartLink
) -> None:
    link = start_link(sshd.sidecar_config()).link
    async with serving(answering(lambda _: answer)) as port:
        client = KeyServerClient(KeyServer(url=f"http://127.0.0.1:{port}"), link.open_connection)
        with pytest.raises(error, match="key server"):
            await client.host_key()


async def test_a_key_server_tells_its_health(m2m: M2m, sshd: Sshd, start_link: StartLink) -> None:
    link = start_link(sshd.sidecar_config()).link
    await KeyServerClient(KeyServer(url=f"http://127.0.0.1:{m2m.key_server_port}"), link.open_connection).healthy()
