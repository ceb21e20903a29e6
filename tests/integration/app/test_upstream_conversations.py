"""What an upstream server and a client say to each other while a call is under way, in every combination of eras."""

import asyncio
from typing import Any

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated
from pydantic import FileUrl

from fairlead_sidecar.config import Permission
from tests.integration.app.endpoint import ERAS, call, lines_of, modern_headers, until
from tests.integration.app.hosted import HANDSHAKE, SshdFactory, alone, hosting, stdio
from tests.integration.sshd import PATIENCE_SECONDS

# Subscriptions and levels of the handshake protocols are what some of this is about.
pytestmark = pytest.mark.filterwarnings("ignore::mcp.MCPDeprecationWarning")

SERVERS = ("old", "new")


class Person:
    """Answers questions, and remembers them."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.heard: list[str | None] = []
        self.logged: list[tuple[str, str | None, Any]] = []

    async def elicit(self, _ctx: Any, params: Any) -> types.ElicitResult:
        self.asked.append(params.message)
        await asyncio.sleep(0.05)
        return types.ElicitResult(action="accept", content={"text": self.answer})

    async def sample(self, _ctx: Any, params: Any) -> types.CreateMessageResult:
        self.asked.append(params.messages[0].content.text)
        content = types.TextContent(type="text", text=self.answer)
        return types.CreateMessageResult(role="assistant", content=content, model="test")

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        assert total is not None
        assert progress <= total
        self.heard.append(message)

    async def log(self, params: Any) -> None:
        self.logged.append((params.level, params.logger, params.data))

    @property
    def callbacks(self) -> dict[str, Any]:
        return {
            "elicitation_callback": self.elicit,
            "sampling_callback": self.sample,
            "logging_callback": self.log,
        }


def text(result: Any) -> str:
    return result.content[0].text if result.content else ""


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_asks_the_person_behind_the_client(sshd_factory: SshdFactory, mode: str, server: str) -> None:
    person = Person("42")
    async with hosting(sshd_factory) as endpoint, endpoint.client(mode, **person.callbacks) as client:
        versions = {status.name: status.protocol_version for status in endpoint.sidecar.status().mcp_servers}
        assert versions == {"old": "2025-11-25", "new": "2026-07-28"}
        result = await client.call_tool(f"{server}__ask", {"about": "life"})
    assert (text(result), person.asked) == ("life: 42", ["What about life?"])


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_asks_the_model_of_the_client(sshd_factory: SshdFactory, mode: str) -> None:
    person = Person("thought")
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint,
        alone(endpoint, "old", mode, **person.callbacks) as client,
    ):
        result = await client.call_tool("sample", {"prompt": "think"})
    assert (text(result), person.asked) == ("thought", ["think"])


@pytest.mark.parametrize("mode", ERAS)
async def test_a_client_that_can_not_be_asked_is_not_asked(sshd_factory: SshdFactory, mode: str) -> None:
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint,
        endpoint.client(mode) as client,
    ):
        with pytest.raises(MCPError, match="does not support elicitation"):
            await client.call_tool("old__ask", {"about": "life"})


@pytest.mark.parametrize("server", SERVERS)
async def test_clients_hear_only_of_their_own_calls(sshd_factory: SshdFactory, server: str) -> None:
    ann, bob = Person("ann's"), Person("bob's")
    async with (
        hosting(sshd_factory) as endpoint,
        endpoint.client("legacy", **ann.callbacks) as first,
        endpoint.client("auto", **bob.callbacks) as second,
    ):
        results = await asyncio.gather(
            first.call_tool(f"{server}__count", {"to": 20, "word": "ann"}, progress_callback=ann.progress),
            second.call_tool(f"{server}__count", {"to": 20, "word": "bob"}, progress_callback=bob.progress),
        )
        assert [text(result) for result in results] == ["ann", "bob"]
        assert ann.heard == [f"ann {step}" for step in range(1, 21)]
        assert bob.heard == [f"bob {step}" for step in range(1, 21)]


async def test_each_client_of_a_server_with_private_sessions_answers_its_own_questions(
    sshd_factory: SshdFactory,
) -> None:
    ann, bob = Person("ann's"), Person("bob's")
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE, isolation="PerSession")) as endpoint,
        endpoint.client("legacy", **ann.callbacks) as first,
        endpoint.client("auto", **bob.callbacks) as second,
    ):
        results = await asyncio.gather(
            first.call_tool("old__ask", {"about": "ann"}), second.call_tool("old__ask", {"about": "bob"})
        )
        pids = {text(await client.call_tool("old__pid", {})) for client in (first, second)}
    assert [text(result) for result in results] == ["ann: ann's", "bob: bob's"]
    assert (ann.asked, bob.asked, len(pids)) == (["What about ann?"], ["What about bob?"], 2)


@pytest.mark.parametrize("mode", ERAS)
async def test_a_server_sees_the_roots_of_its_client_and_that_they_change(sshd_factory: SshdFactory, mode: str) -> None:
    async def roots(_ctx: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=FileUrl("file:///srv"))])

    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE, isolation="PerSession")) as endpoint,
        endpoint.client(mode, list_roots_callback=roots) as client,
    ):
        assert text(await client.call_tool("old__roots", {})) == "file:///srv"
        if mode == "legacy":
            await client.send_roots_list_changed()

            async def told() -> bool:
                return text(await client.call_tool("old__roots", {})) == "file:///srv changed"

            await until(told, "the server to know")


@pytest.mark.parametrize("mode", ERAS)
async def test_a_cancelled_call_is_cancelled_at_the_server(sshd_factory: SshdFactory, mode: str, tmp_path: Any) -> None:
    file = tmp_path / "state"
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint, endpoint.client(mode) as client:
        call = asyncio.create_task(client.call_tool("old__wait", {"seconds": 60, "file": str(file)}))
        await until(lambda: file.exists() and file.read_text() == "begun", "the call to reach the server")
        call.cancel()
        await until(lambda: file.read_text() == "cancelled", "the server to be told")
        await until(lambda: bool(endpoint.audit("call")), "the audit line")
        assert endpoint.audit("call")[-1]["outcome"] == "cancelled"


async def test_a_revoked_token_ends_calls_that_wait_for_a_person(sshd_factory: SshdFactory, tmp_path: Any) -> None:
    async with hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint:
        token, grant = endpoint.keyring.grant(Permission.CALL)
        kept = endpoint.config.tokens
        endpoint.reconfigure(tokens=(*kept, grant))
        await endpoint.settled()
        message = call("old__ask", modern=True, about="life")
        message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
        async with endpoint.http(token) as http:
            answer = await http.post(endpoint.url, json=message, headers=modern_headers(message))
            (first,) = lines_of(answer)
            result = first["result"]
            assert result["resultType"] == "input_required"
            (name,) = result["inputRequests"]
            assert result["inputRequests"][name]["method"] == "elicitation/create"
            waiting = [item for item in endpoint.sidecar.work._items if item.tool == "old__ask"]
            assert len(waiting) == 1
            endpoint.reconfigure(tokens=kept)
            await until(
                lambda: not any(item.tool == "old__ask" for item in endpoint.sidecar.work._items),
                "the waiting call to be cut",
                seconds=2,
            )


async def test_a_state_is_worth_nothing_to_another_caller(sshd_factory: SshdFactory) -> None:
    async with hosting(sshd_factory) as endpoint:
        token, grant = endpoint.keyring.grant(Permission.CALL)
        endpoint.reconfigure(tokens=(*endpoint.config.tokens, grant))
        await endpoint.settled()
        for server in SERVERS:
            message = call(f"{server}__ask", modern=True, about="life")
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = {"elicitation": {"form": {}}}
            async with endpoint.http() as http, endpoint.http(token) as other:
                (first,) = lines_of(await http.post(endpoint.url, json=message, headers=modern_headers(message)))
                (name,) = first["result"]["inputRequests"]
                message["params"] |= {
                    "requestState": first["result"]["requestState"],
                    "inputResponses": {name: {"action": "accept", "content": {"text": "42"}}},
                }
                headers = modern_headers(message)
                (stolen,) = lines_of(await other.post(endpoint.url, json=message, headers=headers))
                # Asked anew, or refused to a server that can't tell whose call it asks about.
                assert "life: 42" not in str(stolen)
                (own,) = lines_of(await http.post(endpoint.url, json=message, headers=headers))
                assert own["result"]["content"][0]["text"] == "life: 42"
                message["params"]["requestState"] = "v1.forged"
                (forged,) = lines_of(await http.post(endpoint.url, json=message, headers=headers))
                assert forged["error"]["message"] == "Invalid requestState."


async def test_log_messages_reach_sessions_from_their_level_on(sshd_factory: SshdFactory) -> None:
    ann, bob = Person(""), Person("")
    async with (
        hosting(sshd_factory, stdio("old", HANDSHAKE)) as endpoint,
        endpoint.client("legacy", **ann.callbacks) as first,
        alone(endpoint, "old", "legacy", **bob.callbacks) as second,
    ):
        await second.set_logging_level("error")
        await first.set_logging_level("debug")

        async def levelled() -> bool:
            return text(await first.call_tool("old__level", {})) == "debug"

        await until(levelled, "the server to have the lowest level")
        for level in ("debug", "error"):
            await first.call_tool("old__log", {"level": level, "text": level})
            await second.call_tool("log", {"level": level, "text": level})
        # What a server says while it works for one client alone is that client's.
        await until(lambda: len(ann.logged) == 2 and len(bob.logged) == 1, f"{ann.logged} {bob.logged}")
    assert [(level, logger) for level, logger, _ in ann.logged] == [("debug", "old/box"), ("error", "old/box")]
    assert [(level, logger) for level, logger, _ in bob.logged] == [("error", "box")]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("mode", ERAS)
async def test_a_watched_resource_is_told_of_under_its_name_here(
    sshd_factory: SshdFactory, mode: str, server: str
) -> None:
    told: list[str] = []

    async def on_message(message: Any) -> None:
        if isinstance(message, types.ResourceUpdatedNotification):
            told.append(str(message.params.uri))

    uri = f"{server}+box://static"
    async with hosting(sshd_factory) as endpoint, endpoint.client(mode, message_handler=on_message) as client:
        if mode == "legacy":
            await client.subscribe_resource(uri)
            await client.call_tool(f"{server}__touch", {"uri": "box://static"})
            await until(lambda: told == [uri], "the news")
            await client.unsubscribe_resource(uri)
            await client.call_tool(f"{server}__touch", {"uri": "box://static"})
            assert told == [uri]
        else:
            async with client.listen(resource_subscriptions=[uri]) as subscription:
                await client.call_tool(f"{server}__touch", {"uri": "box://static"})
                async with asyncio.timeout(PATIENCE_SECONDS):
                    event = await anext(aiter(subscription))
            assert event == ResourceUpdated(uri)
