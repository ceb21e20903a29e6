"""Where names and URIs of all servers together lead."""

from dataclasses import replace

import pytest

from fairlead_sidecar.protocol.addressing import Directory
from fairlead_sidecar.upstream.spec import Catalogue

FIRST = Catalogue(
    tools=({"name": "echo"}, {"name": "odd name", "annotations": {"readOnlyHint": True}}, {"title": "nameless"}),
    prompts=({"name": "plan", "x-unknown": None},),
    resources=({"uri": "box://a", "name": "a"}, {"uri": "ssh://web-01/etc/passwd", "name": "ours"}),
    templates=({"uriTemplate": "box://items/{item}", "name": "items"}, {"uriTemplate": "{bad", "name": "bad"}),
)
SECOND = replace(FIRST, tools=({"name": "echo"},))
OWN = "ssh://web-01/"
DIRECTORY = Directory.of({"one": FIRST, "two": SECOND}, OWN)


def test_items_are_listed_as_they_are_but_for_their_names() -> None:
    assert list(DIRECTORY.tools) == ["one__echo", "one__odd_name_ef5bac", "two__echo"]
    prompt = DIRECTORY.prompts["one__plan"]
    assert prompt.listed("name", prefixed=True) == {"name": "one__plan", "x-unknown": None}
    assert prompt.listed("name", prefixed=False) is prompt.item
    assert [entry.read_only for entry in DIRECTORY.tools.values()] == [False, True, False]


def test_a_tool_is_found_by_what_its_server_calls_it() -> None:
    found = DIRECTORY.tool("one", "odd name")
    assert found is not None
    assert found.name == "one__odd_name_ef5bac"
    assert DIRECTORY.tool("two", "odd name") is None
    assert DIRECTORY.tool("three", "echo") is None


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("box://a", ("one", "box://a")),
        ("two+box://a", ("two", "box://a")),
        ("one+ssh://web-01/etc/passwd", ("one", "ssh://web-01/etc/passwd")),
        ("ssh://web-01/etc/passwd", None),
        ("box://items/7", ("one", "box://items/7")),
        ("two+box://items/7", ("two", "box://items/7")),
        ("two+box://never-listed", ("two", "box://never-listed")),
        ("three+box://a", None),
        ("box://b", None),
    ],
)
def test_a_uri_leads_to_its_server(uri: str, expected: tuple[str, str] | None) -> None:
    assert DIRECTORY.route(uri) == expected


def test_what_did_not_change_is_not_looked_at_again() -> None:
    later = Directory.of({"one": FIRST, "two": replace(SECOND, tools=())}, OWN, DIRECTORY)
    assert later.offers["one"] is DIRECTORY.offers["one"]
    assert list(later.tools) == ["one__echo", "one__odd_name_ef5bac"]
