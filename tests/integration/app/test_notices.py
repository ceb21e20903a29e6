"""Sessions of the handshake protocols are told what happens to the host, each as much as it may know and wants to."""

import contextlib
from collections.abc import AsyncIterator

import mcp_types as types
import pytest
from mcp import Client, ClientSession
from mcp.client.sse import sse_client
from mcp.server.streamable_http import GET_STREAM_KEY
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import Permission
from fairlead_sidecar.mcp_server import HostServer
from fairlead_sidecar.protocol.notices import Notices
from fairlead_sidecar.statusz import LinkState
from tests.integration.app.endpoint import (
    ERAS,
    PATH,
    RunningEndpoint,
    initialize,
    modern_headers,
    request,
    running,
    until,
)
from tests.integration.app.using import use
from tests.integration.sshd import Sshd, SshdFactory

# Deprecated for what comes after the handshake protocols, which is not what is tested here.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")

Told = list[types.LoggingMessageNotificationParams]


@pytest.fixture
def host(sshd_factory: SshdFactory) -> Sshd:
    return sshd_factory(username="deploy")


@pytest.fixture
async def deployed(host: Sshd) -> AsyncIterator[RunningEndpoint]:
    async with running(host.sidecar_config()) as endpoint:
        yield endpoint


def notices(endpoint: RunningEndpoint) -> Notices:
    """What the endpoint knows of its sessions."""
    manager = endpoint.sidecar.sessions._manager
    assert manager is not None
    assert isinstance(manager.app, HostServer)
    return manager.app.notices


def all_listen(endpoint: RunningEndpoint) -> bool:
    """Whether every session has the stream open that messages come on."""
    manager = endpoint.sidecar.sessions._manager
    assert manager is not None
    return all(GET_STREAM_KEY in session._request_streams for session in manager._server_instances.values())


@contextlib.asynccontextmanager
async def listening(
    endpoint: RunningEndpoint, token: str | None = None, *, level: types.LoggingLevel | None = None
) -> AsyncIterator[tuple[Client, Told]]:
    """A client of a handshake protocol, and what it has been told."""
    told: Told = []

    async def take(params: types.LoggingMessageNotificationParams) -> None:
        told.append(params)

    async with endpoint.client("legacy", token, logging_callback=take) as client:
        if level is not None:
            await client.set_logging_level(level)
        await until(lambda: all_listen(endpoint), "the client to listen")
        yield client, told


async def with_permissions(endpoint: RunningEndpoint, *permissions: Permission) -> str:
    token, grant = endpoint.keyring.grant(*permissions)
    endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
    await endpoint.settled()
    return token


def events(told: Told) -> list[tuple[str, str]]:
    """The level and the kind of each message."""
    return [(message.level, message.data["event"]) for message in told]


def links(told: Told) -> list[tuple[str, str]]:
    """The level and the state of each message about the link."""
    return [(message.level, message.data["state"]) for message in told if message.data["event"] == "link"]


async def test_a_session_is_told_that_the_link_was_lost_and_not_more_until_it_asks(
    host: Sshd, deployed: RunningEndpoint
) -> None:
    async with listening(deployed) as (_, told), listening(deployed, level="notice") as (_, told_more):
        host.stop()
        await until(lambda: bool(told) and bool(told_more), "the loss to be told")
        assert told[0].logger == "fairlead"
        assert told[0].level == "warning"
        assert set(told[0].data) == {"event", "host", "state", "reason", "message"}
        assert told[0].data["host"] == deployed.config.name
        assert told[0].data["state"] == "Failed"
        assert told[0].data["reason"] in {"ConnectionLost", "Unreachable"}
        host.start()
        await until(lambda: ("notice", "Connected") in links(told_more), "the return to be told")
        assert {level for level, _ in links(told)} == {"warning"}
        assert links(told_more)[-1] == ("notice", "Connected")


async def test_the_client_of_an_older_transport_is_told_too(host: Sshd, deployed: RunningEndpoint) -> None:
    told: Told = []

    async def take(params: types.LoggingMessageNotificationParams) -> None:
        told.append(params)

    async with (
        sse_client(f"{deployed.origin}{PATH}/sse", headers=deployed.bearer()) as (read, write),
        ClientSession(read, write, logging_callback=take) as session,
    ):
        await session.initialize()
        await session.set_logging_level("notice")
        host.stop()
        await until(lambda: links(told)[:1] == [("warning", "Failed")], "the loss to be told")
        host.start()
        await until(lambda: ("notice", "Connected") in links(told), "the return to be told")
    await until(lambda: not notices(deployed)._sessions, "the session to be forgotten")


async def test_a_session_is_told_the_end_of_its_own_background_commands_alone(
    host: Sshd, deployed: RunningEndpoint
) -> None:
    other = await with_permissions(deployed)
    async with (
        listening(deployed, level="info") as (_, told),
        listening(deployed) as (_, by_default),
        listening(deployed, other, level="debug") as (_, others),
    ):
        secret = "until [ -e go ]; do sleep 0.02; done; echo s3cret; exit 3"
        begun = await use(deployed, "execute_command", command=secret, wait_seconds=0)
        await use(deployed, "execute_command", command="touch go")
        await until(lambda: bool(told), "the end to be told")
        (message,) = told
        assert message.level == "info"
        assert message.data.pop("duration_seconds") > 0
        assert message.data == {
            "event": "command_end",
            "host": deployed.config.name,
            "command_id": begun["command_id"],
            "outcome": "ok",
            "exit_code": 3,
        }
        # Messages come in order: whatever they were told of the command would stand before the loss of the link.
        host.stop()
        await until(lambda: bool(by_default) and bool(others), "the loss to be told")
        assert events(by_default)[0] == events(others)[0] == ("warning", "link")
        assert "s3cret" not in repr([told, by_default, others])


async def test_a_session_is_told_nothing_that_its_token_may_not_ask_for_any_more(
    host: Sshd, deployed: RunningEndpoint
) -> None:
    token, grant = deployed.keyring.grant(Permission.VIEW, Permission.EXECUTE)
    before = deployed.config.tokens
    deployed.reconfigure(tokens=(*before, grant))
    await deployed.settled()
    async with listening(deployed, token, level="debug") as (client, told), listening(deployed) as (_, seeing):
        less = grant.model_copy(update={"permissions": frozenset({Permission.EXECUTE})})
        deployed.reconfigure(tokens=(*before, less))
        await deployed.settled()
        host.stop()
        await until(lambda: bool(seeing), "the loss to be told")
        host.start()
        await until(lambda: deployed.sidecar.status().link.state is LinkState.CONNECTED, "the link")
        await client.call_tool("execute_command", {"command": "true", "wait_seconds": 0})
        await until(lambda: bool(told), "the end to be told")
        assert events(told) == [("info", "command_end")]


async def test_a_session_that_reads_nothing_keeps_nothing_from_others(host: Sshd, deployed: RunningEndpoint) -> None:
    async with deployed.http() as http:
        silent = await initialize(http, deployed.url)
        told: Told = []

        async def take(params: types.LoggingMessageNotificationParams) -> None:
            told.append(params)

        async with deployed.client("legacy", logging_callback=take):
            await until(lambda: len(notices(deployed)._sessions) == 2, "both sessions")
            host.stop()
            await until(lambda: bool(told), "the loss to be told")
        await http.delete(deployed.url, headers=silent)
    await until(lambda: not notices(deployed)._sessions, "the sessions to be forgotten")


async def test_only_levels_of_the_protocol_are_taken(hostless: RunningEndpoint) -> None:
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        answer = await http.post(hostless.url, json=request("logging/setLevel", {"level": "loud"}), headers=session)
        assert '"code":-32602' in answer.text
    async with hostless.http(hostless.probe) as http:
        session = await initialize(http, hostless.url)
        answer = await http.post(hostless.url, json=request("logging/setLevel", {"level": "debug"}), headers=session)
        assert answer.status_code == 403


async def test_the_modern_protocol_neither_announces_log_messages_nor_takes_a_level(hostless: RunningEndpoint) -> None:
    message = request("logging/setLevel", {"level": "debug"}, modern=True)
    async with hostless.http() as http:
        answer = await http.post(hostless.url, json=message, headers=modern_headers(message))
        assert "-32601" in answer.text
    announced = {}
    for era in ERAS:
        async with hostless.client(era) as client:
            assert client.server_capabilities is not None
            announced[era] = client.server_capabilities.logging is not None
            if era == "auto":
                with pytest.raises(MCPError):
                    await client.set_logging_level("debug")
    assert announced == {"legacy": True, "auto": False}
