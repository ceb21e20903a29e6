"""What is taken of a server's lists, however they are made."""

import logging
from typing import Any

import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.catalogue import MAX_CHARACTERS, fetched, readable
from fairlead_sidecar.upstream.spec import Catalogue, Json

EMPTY = Catalogue(capabilities={"tools": {}})


def tool(name: str, **members: Any) -> Json:
    return {"name": name, "inputSchema": {"type": "object"}, **members}


async def tools_of(*pages: list[Any]) -> list[Json]:
    answers = iter(pages)

    async def ask(_method: str, params: Json | None) -> Json:
        number = int(params["cursor"]) if params else 0
        more = {"nextCursor": str(number + 1)} if number + 1 < len(pages) else {}
        return {"tools": next(answers), **more}

    return list((await fetched(EMPTY, {"tools"}, ask, "a")).tools)


async def test_an_item_that_clients_could_not_read_is_left_out_and_takes_nothing_with_it() -> None:
    bad = [
        5,
        tool(""),
        tool("description", description=5),
        tool("annotations", annotations="x"),
        {"name": "schema", "inputSchema": {}},
        {"name": "properties", "inputSchema": {"type": 5}},
    ]
    good = [tool("first"), tool("last", unknown={"kept": True})]
    assert await tools_of([good[0], *bad, good[1]]) == good


async def test_a_flood_of_what_is_no_item_is_bounded_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert await tools_of([5] * 1_000_000 + [tool("a")], [tool("b")]) == []
    assert len(caplog.records) == 2


async def test_a_list_is_no_larger_than_may_be() -> None:
    large = "x" * (MAX_CHARACTERS // 3)
    listed = await tools_of(*([tool(str(number), description=large)] for number in range(5)))
    assert [item["name"] for item in listed] == ["0", "1"]


async def test_what_a_server_says_is_quoted_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def refuse(_method: str, _params: Json | None) -> Json:
        raise MCPError(-32000, "\x1b[2J\n" * 1000)

    with caplog.at_level(logging.WARNING):
        assert await fetched(EMPTY, {"tools"}, refuse, "a") == EMPTY
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 1000


def test_what_only_the_modern_protocol_has_is_no_fault() -> None:
    items = [tool("a", outputSchema={"type": "array"})]
    assert readable("tools/list", items)
    assert not readable("tools/list", items, ("2025-11-25",))
