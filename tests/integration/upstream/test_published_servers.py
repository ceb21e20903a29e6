"""Published servers of several makers, ones that misbehave, and m2m's: all behind one sidecar."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp.client.stdio import StdioServerParameters, stdio_client

from fairlead_sidecar.config import McpServer
from tests.integration.app.endpoint import until
from tests.integration.upstream.m2m import new_secret, running_m2m
from tests.integration.upstream.raw import Json, Raw, raw_http, raw_session
from tests.integration.upstream.sides import Side, compare, compare_lists, ways
from tests.integration.upstream.zoo import Zoo, difficult, zoo

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Zoo]:
    directory = tmp_path_factory.mktemp("zoo")
    secret, _ = new_secret(directory / "m2m-secret")
    (directory / "m2m").mkdir()
    with running_m2m(directory / "m2m") as m2m:
        more = (
            McpServer(name="m2m", server=m2m.server(secret)),
            difficult("crash", "crash"),
            difficult("hang", "hang", start_timeout=3.0),
            difficult("loud", "stderr"),
        )
        async with zoo(directory, *more) as served:
            await until(lambda: served.status("m2m").ready and served.status("loud").ready, "m2m")
            yield served


@pytest.fixture
def repository(tmp_path: Path) -> str:
    place = tmp_path / "repository"
    place.mkdir()
    (place / "file.txt").write_text("one\n")
    identity = ("-c", "user.name=Anna", "-c", "user.email=anna@example.org")
    for words in (("init", "-q", "-b", "trunk"), ("add", "file.txt"), (*identity, "commit", "-q", "-m", "Begin")):
        subprocess.run(["git", "-C", str(place), *words], check=True)
    (place / "file.txt").write_text("two\n")
    return str(place)


def direct(served: Zoo, command: str, *args: str, modern: bool = False, **env: str) -> AbstractAsyncContextManager[Raw]:
    parameters = StdioServerParameters(command=command, args=list(args), env=env or None)
    return raw_session(stdio_client(parameters), modern=modern, capabilities={})


async def the_same(served: Zoo, server: str, plain: Raw, requests: list[tuple[str, Json]]) -> None:
    """See that the server lists and answers the same through Fairlead, in both eras, with others and alone."""
    side = Side(plain, "direct-client")
    for way, prefix in ways(served, server):
        async with way as raw:
            through = Side(raw, "other-client", prefix)
            await compare_lists(side, through)
            for method, params in requests:
                await compare(side, through, method, params)


Calls = tuple[tuple[str, Json], ...]


def called(*tools: tuple[str, Json]) -> list[tuple[str, Json]]:
    return [("tools/call", {"name": name, "arguments": arguments}) for name, arguments in tools]


@pytest.mark.parametrize("modern", [False, True])
async def test_git(served: Zoo, repository: str, *, modern: bool) -> None:
    at = {"repo_path": repository}
    tools: Calls = (
        ("git_status", at),
        ("git_diff_unstaged", at),
        ("git_log", {**at, "max_count": 1}),
        ("git_status", {}),
    )
    async with direct(served, served.published.python("mcp-server-git"), modern=modern) as plain:
        await the_same(served, "git", plain, called(*tools))


@pytest.mark.parametrize("modern", [False, True])
async def test_time(served: Zoo, *, modern: bool) -> None:
    convert = {"source_timezone": "Europe/Vienna", "time": "12:30", "target_timezone": "Asia/Tokyo"}
    tools: Calls = ("convert_time", convert), ("get_current_time", {"timezone": "Nowhere/None"})
    program = served.published.python("mcp-server-time")
    async with direct(served, program, "--local-timezone", "Europe/Vienna", modern=modern) as plain:
        await the_same(served, "time", plain, called(*tools))


@pytest.mark.parametrize("modern", [False, True])
async def test_fetch(served: Zoo, *, modern: bool) -> None:
    # It refuses addresses that are not public; that is an answer as any other.
    program = served.published.python("mcp-server-fetch")
    requests = called(("fetch", {"url": "http://127.0.0.1:9/x"}), ("fetch", {"url": "no url"}))
    requests.append(("prompts/get", {"name": "fetch", "arguments": {"url": "http://127.0.0.1:9/x"}}))
    async with direct(served, program, "--ignore-robots-txt", modern=modern) as plain:
        await the_same(served, "fetch", plain, requests)


async def test_filesystem(served: Zoo) -> None:
    files = served.directory / "files"
    (files / "hello.txt").write_text("Grüße\r\n")
    (files / "dot.png").write_bytes(bytes(range(256)))
    at = {"path": str(files / "hello.txt")}
    tools: Calls = (
        ("read_text_file", at),
        ("read_media_file", {"path": str(files / "dot.png")}),
        ("list_directory", {"path": str(files)}),
        ("get_file_info", at),
        ("edit_file", {**at, "edits": [{"oldText": "Grüße", "newText": "Hallo"}], "dryRun": True}),
        ("read_text_file", {"path": "/etc/passwd"}),
        ("list_allowed_directories", {}),
    )
    command, script = served.published.node("server-filesystem")
    async with direct(served, command, script, str(files)) as plain:
        await the_same(served, "files", plain, called(*tools))


async def test_memory(served: Zoo) -> None:
    graph = served.directory / "memory.json"
    entity = {"name": "Anna", "entityType": "person", "observations": ["likes ducks"]}
    command, script = served.published.node("server-memory")
    async with direct(served, command, script, MEMORY_FILE_PATH=str(graph)) as plain:
        await plain.request("tools/call", {"name": "create_entities", "arguments": {"entities": [entity]}})
        tools: Calls = ("read_graph", {}), ("search_nodes", {"query": "duck"}), ("open_nodes", {"names": ["Anna"]})
        await the_same(served, "memory", plain, called(*tools))


async def test_m2m_with_its_two_backends(served: Zoo) -> None:
    headers = served.endpoint.bearer()
    for modern in (False, True):
        for url, prefix in ((served.url(), "m2m__"), (served.url("m2m"), "")):
            async with raw_http(url, modern=modern, headers=headers) as raw:
                names = [tool["name"] for tool in (await raw.request("tools/list"))["tools"]]
                assert [name for name in names if name.startswith(prefix + "sh")] == [f"{prefix}sh", f"{prefix}sh_1"]
                for tool in (f"{prefix}sh", f"{prefix}sh_1"):
                    call = {"name": tool, "arguments": {"command": "echo $((6 * 7))"}}
                    assert (await raw.request("tools/call", call))["content"][0]["text"] == "42\n"


async def test_those_that_misbehave_are_named_and_disturb_nobody(served: Zoo) -> None:
    await until(
        lambda: served.status("crash").reason == "StartFailed" and served.status("hang").reason == "NotResponding",
        "the reasons",
    )
    assert "can't open the database" in served.status("crash").message
    async with raw_http(served.url(), headers=served.endpoint.bearer()) as raw:
        names = [tool["name"] for tool in (await raw.request("tools/list"))["tools"]]
        assert not [name for name in names if name.startswith(("crash__", "hang__"))]
        for server in ("crash", "hang"):
            result = await raw.request("tools/call", {"name": f"{server}__echo", "arguments": {}})
            assert result["isError"]
            assert result["structuredContent"]["code"].startswith("mcp_server_")
        echoed = await asyncio.gather(*(echo(raw, str(number)) for number in range(20)))
        assert echoed == [str(number) for number in range(20)]


async def echo(raw: Raw, text: str) -> Any:
    """Through the server that floods its standard error."""
    call = {"name": "loud__echo", "arguments": {"text": text}}
    return (await raw.request("tools/call", call))["content"][0]["text"]
