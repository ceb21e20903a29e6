"""Whatever server-everything offers is the same through Fairlead as from the server itself."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
import pytest_asyncio
from mcp.client.sse import sse_client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.integration.app.endpoint import until
from tests.integration.upstream.raw import Json, Raw, raw_http, raw_session
from tests.integration.upstream.sides import Side, compare, compare_lists, ways
from tests.integration.upstream.zoo import Zoo, zoo

SERVERS = ("everything", "everything-http", "everything-sse")
TEXT = "data:text/plain;base64,SGVsbG8="
TOOLS: tuple[tuple[str, Json], ...] = (
    ("echo", {"message": "Grüße \u2028 \x00 🦆"}),
    ("echo", {}),
    ("get-annotated-message", {"messageType": "error", "includeImage": True}),
    ("get-annotated-message", {"messageType": "debug"}),
    ("get-resource-links", {"count": 4}),
    ("get-resource-reference", {"resourceType": "Text", "resourceId": 2}),
    ("get-resource-reference", {"resourceType": "Blob", "resourceId": 3}),
    ("get-resource-reference", {"resourceId": -1}),
    ("get-structured-content", {"location": "Chicago"}),
    ("get-sum", {"a": 1, "b": 2.5}),
    ("get-sum", {"a": "one"}),
    ("get-tiny-image", {}),
    ("gzip-file-as-resource", {"name": "NAME", "data": TEXT, "outputType": "resource"}),
    ("gzip-file-as-resource", {"name": "NAME", "data": TEXT}),
    ("gzip-file-as-resource", {"name": "NAME", "data": "ftp://nowhere/x"}),
    ("toggle-simulated-logging", {}),
    ("toggle-simulated-logging", {}),
    ("toggle-subscriber-updates", {}),
    ("toggle-subscriber-updates", {}),
    ("trigger-long-running-operation", {"duration": 0.2, "steps": 4}),
    ("get-roots-list", {}),
    ("trigger-elicitation-request", {}),
    ("trigger-sampling-request", {"prompt": "Say yes", "maxTokens": 5}),
    ("trigger-url-elicitation", {"url": "https://example.org/", "elicitationId": "e-NAME"}),
    ("trigger-url-elicitation", {"url": "https://example.org/NAME", "elicitationId": "e-NAME", "errorPath": True}),
    ("trigger-url-elicitation", {"url": "https://example.org/NAME", "elicitationId": "e-NAME", "errorPath": True}),
    ("simulate-research-query", {"topic": "ducks"}),
    ("no-such-tool", {}),
)
PROMPTS: tuple[tuple[str, Json], ...] = (
    ("simple-prompt", {}),
    ("args-prompt", {"city": "Graz"}),
    ("args-prompt", {"city": "Graz", "state": "Styria"}),
    ("args-prompt", {}),
    ("completable-prompt", {"department": "Sales", "name": "Eve"}),
    ("resource-prompt", {"resourceType": "Blob", "resourceId": "2"}),
    ("resource-prompt", {"resourceType": "Text", "resourceId": "-2"}),
    ("no-such-prompt", {}),
)
DYNAMIC = "demo://resource/dynamic"
READ = (f"{DYNAMIC}/text/1", f"{DYNAMIC}/blob/2", f"{DYNAMIC}/text/none", "demo://resource/session/NAME")
COMPLETIONS: tuple[tuple[Json, Json, Json | None], ...] = (
    ({"type": "ref/prompt", "name": "completable-prompt"}, {"name": "department", "value": "S"}, None),
    (
        {"type": "ref/prompt", "name": "completable-prompt"},
        {"name": "name", "value": ""},
        {"arguments": {"department": "Engineering"}},
    ),
    ({"type": "ref/prompt", "name": "resource-prompt"}, {"name": "resourceId", "value": "5"}, None),
    ({"type": "ref/resource", "uri": f"{DYNAMIC}/text/{{resourceId}}"}, {"name": "resourceId", "value": "7"}, None),
    ({"type": "ref/resource", "uri": f"{DYNAMIC}/blob/{{resourceId}}"}, {"name": "resourceId", "value": "x"}, None),
)


pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zoo]:
    async with zoo(tmp_path_factory.mktemp("zoo")) as served:
        yield served


def direct(served: Zoo, server: str) -> AbstractAsyncContextManager[Raw]:
    """A session with a server of the same kind, without anything between."""
    if server == "everything-http":
        return raw_http(f"http://127.0.0.1:{served.ports['streamableHttp']}/mcp")
    if server == "everything-sse":
        return raw_session(sse_client(f"http://127.0.0.1:{served.ports['sse']}/sse"))
    command, script = served.published.node("server-everything")
    return raw_session(stdio_client(StdioServerParameters(command=command, args=[script])))


@pytest.mark.parametrize("server", SERVERS)
async def test_everything_is_the_same_as_from_the_server_itself(served: Zoo, server: str) -> None:
    async with direct(served, server) as raw:
        plain = Side(raw, f"{server}-direct")
        for way, prefix in ways(served, server):
            async with way as other:
                await compare_lists(plain, Side(other, "nobody", prefix))
                if prefix is None:
                    assert other.introduction["instructions"] == raw.introduction["instructions"]
        for number, (way, prefix) in enumerate(ways(served, server)):
            async with way as other:
                await answers_are_the_same(plain, Side(other, f"{server}-{number}", prefix))


async def answers_are_the_same(plain: Side, through: Side) -> None:
    for name, arguments in TOOLS:
        await compare(plain, through, "tools/call", {"name": name, "arguments": arguments})
    assert asked(through) == asked(plain)
    plain.raw.asked.clear()
    for name, arguments in PROMPTS:
        await compare(plain, through, "prompts/get", {"name": name, "arguments": arguments})
    resources = (await plain.ask("resources/list"))["result"]["resources"]
    for uri in (*(found["uri"] for found in resources if "static" in found["uri"]), *READ):
        await compare(plain, through, "resources/read", {"uri": uri})
    for ref, argument, context in COMPLETIONS:
        params = {"ref": ref, "argument": argument, **({"context": context} if context else {})}
        await compare(plain, through, "completion/complete", params)
    plain.raw.told.clear()
    await progress_is_the_same(plain, through)


def asked(side: Side) -> list[Any]:
    """What the client was asked; a server asks only once for roots, whoever calls."""
    return [side.neutral(each) for each in side.raw.asked if each[0] != "roots/list"]


async def progress_is_the_same(plain: Side, through: Side) -> None:
    call = {"name": "trigger-long-running-operation", "arguments": {"duration": 0.1, "steps": 3}}
    told = []
    for side in (plain, through):
        side.raw.told.clear()
        await side.ask("tools/call", {**call, "_meta": {"progressToken": "my-token"}})
        told.append(side.raw.notified("notifications/progress"))
    assert told[0] == told[1]
    assert [each["progress"] for each in told[0]] == [1, 2, 3]


@pytest.mark.parametrize("server", SERVERS)
async def test_log_messages_and_changes_of_lists_reach_a_client(served: Zoo, server: str) -> None:
    headers = served.endpoint.bearer()
    for number, url in enumerate((served.url(), served.url(server))):
        prefix = "" if number else f"{server}__"
        async with raw_http(url, headers=headers) as raw:
            await raw.request("logging/setLevel", {"level": "debug"})
            for _ in range(2):
                await raw.request("tools/call", {"name": f"{prefix}toggle-simulated-logging", "arguments": {}})

            def logged(raw: Raw = raw) -> bool:
                return any("level" in str(told["data"]) for told in raw.notified("notifications/message"))

            await until(logged, "a log message")
            zipped = {"name": f"changes-{server}-{number}", "data": TEXT}
            await raw.request("tools/call", {"name": f"{prefix}gzip-file-as-resource", "arguments": zipped})

            def changed(raw: Raw = raw) -> bool:
                return bool(raw.notified("notifications/resources/list_changed"))

            await until(changed, "the change of the list")
            listed = [each["uri"] for each in (await raw.request("resources/list"))["resources"]]
            assert any(uri.endswith(f"demo://resource/session/{zipped['name']}") for uri in listed)


@pytest.mark.parametrize("server", SERVERS)
async def test_a_resource_that_is_watched_is_told_of(served: Zoo, server: str) -> None:
    uri = "demo://resource/static/document/features.md"
    async with raw_http(served.url(server), headers=served.endpoint.bearer()) as raw:
        await raw.request("resources/subscribe", {"uri": uri})
        for _ in range(2):
            await raw.request("tools/call", {"name": "toggle-subscriber-updates", "arguments": {}})
        await until(lambda: {"uri": uri} in raw.notified("notifications/resources/updated"), "the update")
        await raw.request("resources/unsubscribe", {"uri": uri})
