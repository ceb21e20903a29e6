"""Clients learn that what they see has changed, and only then."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.streamable_http import GET_STREAM_KEY
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import NamedCommand, PathPolicy, Permission, Policy, SidecarConfig, TokenGrant, ToolGroup
from fairlead_sidecar.mcp_server import HostServer
from fairlead_sidecar.protocol import changes
from fairlead_sidecar.protocol.changes import Changes
from tests.integration.app.endpoint import ERAS, RunningEndpoint, initialize, modern_headers, request, until

both_eras = pytest.mark.parametrize("era", ERAS)
EVENTS = {
    "ToolListChangedNotification": "tools",
    "PromptListChangedNotification": "prompts",
    "ResourceListChangedNotification": "resources",
    "ToolsListChanged": "tools",
    "PromptsListChanged": "prompts",
    "ResourcesListChanged": "resources",
}


def kept(endpoint: RunningEndpoint) -> Changes:
    """What the endpoint knows of its clients."""
    manager = endpoint.sidecar.sessions._manager
    assert manager is not None
    assert isinstance(manager.app, HostServer)
    return manager.app.changes


def listening(endpoint: RunningEndpoint) -> bool:
    """Whether a session has the stream open that notifications come on."""
    manager = endpoint.sidecar.sessions._manager
    assert manager is not None
    sessions = manager._server_instances.values()
    return any(GET_STREAM_KEY in session._request_streams for session in sessions)


@contextlib.asynccontextmanager
async def watching(endpoint: RunningEndpoint, era: str, token: str | None = None) -> AsyncIterator[list[str]]:
    """A client that listens; what it has been told so far."""
    told: list[str] = []

    async def take(message: Any) -> None:
        name = type(getattr(message, "root", message)).__name__
        # The client hands over to both what comes on a subscription.
        if name in EVENTS and (era == "legacy") == name.endswith("Notification"):
            told.append(EVENTS[name])

    async with (
        httpx2.AsyncClient(headers=endpoint.bearer(token), timeout=60) as http,
        Client(streamable_http_client(endpoint.url, http_client=http), mode=era, message_handler=take) as client,
        anyio.create_task_group() as group,
    ):
        if era == "legacy":
            # The stream that notifications come on is opened by itself, a little after the handshake.
            await until(lambda: listening(endpoint), "the client to listen")
            yield told
        else:
            async with client.listen(
                tools_list_changed=True, prompts_list_changed=True, resources_list_changed=True
            ) as subscription:

                async def follow() -> None:
                    async for event in subscription:
                        await take(event)

                group.start_soon(follow)
                yield told
        group.cancel_scope.cancel()


def grants(*granted: TokenGrant, config: SidecarConfig) -> tuple[TokenGrant, ...]:
    """The grants of a configuration, with these in place of their owners' earlier ones."""
    return (*(grant for grant in config.tokens if grant.uid not in {new.uid for new in granted}), *granted)


@both_eras
async def test_clients_are_told_when_their_lists_change(hostless: RunningEndpoint, era: str) -> None:
    async with watching(hostless, era) as told:
        hostless.reconfigure(groups=frozenset({ToolGroup.EXECUTE}))
        await until(lambda: sorted(told) == ["prompts", "resources", "tools"], "all three lists to change")
        told.clear()
        hostless.reconfigure(groups=frozenset(ToolGroup))
        await until(lambda: sorted(told) == ["prompts", "resources", "tools"], "all three lists to change back")
        told.clear()
        hostless.reconfigure(policy=Policy(paths=PathPolicy(read=("/srv",))))
        await until(lambda: told == ["resources"], "only the resources to change")
        hostless.reconfigure(policy=Policy(paths=PathPolicy(read=("/srv",)), read_only=True))
        await until(lambda: told == ["resources", "tools", "prompts"], "tools and prompts to change")
        told.clear()
        look = NamedCommand(name="look", argv=("echo", "looked"), read_only=True)
        hostless.reconfigure(policy=hostless.config.policy.model_copy(update={"named_commands": (look,)}))
        await until(lambda: told == ["tools"], "the named command to appear")


@both_eras
async def test_clients_are_told_nothing_where_nothing_changed_for_them(hostless: RunningEndpoint, era: str) -> None:
    token, grant = hostless.keyring.grant(Permission.VIEW, Permission.READ)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with watching(hostless, era, token) as told:
        # Nothing of this concerns who may only read; the last change does, and must be the first that is told.
        hostless.reconfigure(groups=frozenset({ToolGroup.FILES}))
        await hostless.settled()
        hostless.reconfigure(description="Another one", generation=7)
        await hostless.settled()
        hostless.reconfigure(policy=Policy(paths=PathPolicy(write=("/srv",)), read_only=True))
        await hostless.settled()
        hostless.reconfigure(policy=Policy(paths=PathPolicy(read=("/srv",))))
        await until(lambda: told == ["resources"], "the readable directories to change")


@both_eras
async def test_clients_are_told_of_permissions_gained_and_lost(hostless: RunningEndpoint, era: str) -> None:
    token, grant = hostless.keyring.grant(Permission.VIEW)
    _, rotated = hostless.keyring.grant(Permission.VIEW, Permission.WRITE, uid=grant.uid)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with watching(hostless, era, token) as told:
        more = grant.model_copy(update={"permissions": frozenset({Permission.VIEW, Permission.WRITE})})
        hostless.reconfigure(tokens=grants(more, config=hostless.config))
        await until(lambda: told == ["tools"], "the tool that writes to appear")
        # The same permissions with another secret beside the old one: nothing to tell.
        hostless.reconfigure(tokens=grants(more, rotated, config=hostless.config))
        await hostless.settled()
        hostless.reconfigure(tokens=grants(grant, rotated, config=hostless.config))
        await until(lambda: told == ["tools", "tools"], "the tool that writes to disappear")


async def test_a_session_outlives_the_rotation_of_its_token_and_is_still_told(hostless: RunningEndpoint) -> None:
    token, grant = hostless.keyring.grant(uid="same")
    _, rotated = hostless.keyring.grant(uid="same")
    hostless.reconfigure(tokens=(grant, rotated))
    await hostless.settled()
    async with hostless.http(token) as http:
        await initialize(http, hostless.url)
    # A notification is accepted before it is dealt with.
    await until(lambda: len(kept(hostless)._sessions) == 1, "the session to be known")
    hostless.reconfigure(tokens=(rotated,))
    await hostless.settled()
    (watcher,) = kept(hostless)._sessions.values()
    before = dict(watcher.seen)
    hostless.reconfigure(groups=frozenset())
    await hostless.settled()
    assert watcher.seen != before


async def test_sessions_and_subscriptions_that_ended_are_forgotten(hostless: RunningEndpoint) -> None:
    clients = kept(hostless)
    for era in ERAS:
        async with watching(hostless, era):
            # A notification is accepted before it is dealt with.
            await until(lambda: len(clients._sessions) + len(clients._streams) == 1, "the client to be known")
        await until(lambda: not clients._sessions and not clients._streams, "the client to be forgotten")


async def test_subscriptions_are_bounded_for_each_owner(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MAX_OF_OWNER", 1)
    token, grant = hostless.keyring.grant()
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with watching(hostless, "auto"):
        async with hostless.client("auto") as second:
            with pytest.raises(MCPError, match="Too many subscriptions"):
                async with second.listen(tools_list_changed=True):
                    pass
        async with watching(hostless, "auto", token):
            pass


async def test_no_promise_is_made_to_watch_files(hostless: RunningEndpoint) -> None:
    wanted = {"notifications": {"toolsListChanged": True, "resourceSubscriptions": ["ssh://web-01/etc/hosts"]}}
    message = request("subscriptions/listen", wanted, modern=True)
    async with (
        hostless.http() as http,
        http.stream("POST", hostless.url, json=message, headers=modern_headers(message)) as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data:"):
                assert "resourceSubscriptions" not in line
                assert '"toolsListChanged":true' in line
                break


async def test_the_probe_may_not_subscribe(hostless: RunningEndpoint) -> None:
    message = request("subscriptions/listen", {"notifications": {"toolsListChanged": True}}, modern=True)
    async with hostless.http(hostless.probe) as http:
        answer = await http.post(hostless.url, json=message, headers=modern_headers(message))
    assert answer.status_code == 403


@both_eras
async def test_both_eras_say_what_changes_and_what_is_not_served(hostless: RunningEndpoint, era: str) -> None:
    async with hostless.client(era) as client:
        capabilities = client.server_capabilities
        assert client.server_info is not None
        assert client.server_info.name == "fairlead"
        assert client.server_info.title == "shop/web-01"
        assert client.server_info.version
        assert "web-01" in (client.instructions or "")
    assert capabilities == types.ServerCapabilities(
        tools=types.ToolsCapability(list_changed=True),
        prompts=types.PromptsCapability(list_changed=True),
        resources=types.ResourcesCapability(list_changed=True, subscribe=False),
        completions=types.CompletionsCapability(),
        logging=types.LoggingCapability() if era == "legacy" else None,
    )


async def test_a_session_that_says_often_that_it_is_ready_is_told_once(hostless: RunningEndpoint) -> None:
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    async with hostless.http() as http:
        session = await initialize(http, hostless.url)
        for _ in range(5):
            assert (await http.post(hostless.url, json=ready, headers=session)).status_code == 202
        # Messages are taken in order, so this one comes after them.
        assert (await http.post(hostless.url, json=request("ping"), headers=session)).status_code == 200
        assert len(kept(hostless)._sessions) == 1
        await http.delete(hostless.url, headers=session)
    await until(lambda: not kept(hostless)._sessions, "the session to be forgotten")
