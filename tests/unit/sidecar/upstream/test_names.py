"""What upstream tools, prompts and resources are called among those of all servers."""

import hashlib
import random
import re

import pytest

from fairlead_sidecar.upstream.names import Names, address, addressed, listed_uris, split

ODD_NAMES = [
    "über-tool",
    "read file",
    "files/read",
    "files.read",
    "a.b",
    "a/b",
    "a_b",
    "日本語",
    "💥",
    "\ud800",
    "x" * 200,
    "x" * 199 + "y",
    "x" * 44,
    "__leading",
    "-",
    ".",
    "Ünïcödé" * 20,
]


def _hex(name: str, start: int = 0) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[start : start + 6]


def test_a_name_that_fits_only_gets_the_prefix() -> None:
    names = Names("hn", ["get_stories"])
    assert names.aggregate("get_stories") == "hn__get_stories"
    assert names.original("hn__get_stories") == "get_stories"


def test_characters_that_clients_refuse_are_replaced_and_the_name_gets_six_digits_of_its_digest() -> None:
    assert Names("hn", ["files/read"]).aggregate("files/read") == f"hn__files_read_{_hex('files/read')}"


def test_a_long_name_is_cut_to_fifty_characters() -> None:
    name = Names("hn", ["x" * 200]).aggregate("x" * 200)
    assert len(name) == 50
    assert name == "hn__" + "x" * 39 + "_" + _hex("x" * 200)


def test_fifty_characters_fit_and_one_more_does_not() -> None:
    assert Names("hn", ["x" * 46]).aggregate("x" * 46) == "hn__" + "x" * 46
    assert Names("hn", ["x" * 47]).aggregate("x" * 47).endswith("_" + _hex("x" * 47))


def test_every_name_is_valid_unique_and_leads_back() -> None:
    names = Names("srv", ODD_NAMES)
    aggregates = {names.aggregate(name) for name in ODD_NAMES}
    assert len(aggregates) == len(ODD_NAMES)
    for original in ODD_NAMES:
        aggregate = names.aggregate(original)
        assert re.fullmatch(r"srv__[A-Za-z0-9_-]{1,45}", aggregate)
        assert names.original(aggregate) == original


def test_a_name_is_the_same_whatever_else_is_listed_and_in_whatever_order() -> None:
    whole = Names("srv", ODD_NAMES)
    chance = random.Random(7)
    for _ in range(50):
        some = chance.sample(ODD_NAMES, k=chance.randint(1, len(ODD_NAMES)))
        names = Names("srv", some)
        assert all(names.aggregate(name) == whole.aggregate(name) for name in some)


def test_of_two_that_collide_the_one_that_fits_keeps_its_name() -> None:
    literal = f"a_b_{_hex('a.b')}"
    for order in (["a.b", literal], [literal, "a.b"]):
        names = Names("hn", order)
        assert names.aggregate(literal) == f"hn__{literal}"
        assert names.aggregate("a.b") == f"hn__a_b_{_hex('a.b', 1)}"


def test_a_server_with_a_very_long_name_still_has_distinct_tools() -> None:
    server = "s" * 63
    names = Names(server, ["read", "write"])
    assert names.aggregate("read") != names.aggregate("write")
    assert split(names.aggregate("read")) is not None


def test_a_name_that_is_listed_twice_is_one() -> None:
    assert Names("hn", ["a", "a"]).aggregate("a") == "hn__a"


def test_what_the_server_does_not_list_has_no_name() -> None:
    names = Names("hn", ["a"])
    assert names.original("hn__b") is None
    with pytest.raises(KeyError):
        names.aggregate("b")


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("hn__a", ("hn", "a")),
        ("hn__a__b", ("hn", "a__b")),
        ("hn___a", ("hn", "_a")),
        ("execute_command", None),
        ("__a", None),
        ("hn__", None),
    ],
)
def test_a_name_is_split_at_its_first_separator(name: str, parts: tuple[str, str] | None) -> None:
    assert split(name) == parts


def test_a_uri_can_address_a_server() -> None:
    assert address(addressed("hn", "file:///a+b"), {"hn"}) == ("hn", "file:///a+b")
    assert address("file:///a+b", {"hn"}) is None
    assert address("git+ssh://x", {"hn"}) is None
    assert address("hn+", {"hn"}) is None


def test_resources_keep_their_uris_unless_somebody_has_them_already() -> None:
    listed = listed_uris({"a": ["file:///x", "own://status"], "b": ["file:///x", "b://y"]}, {"own://status"})
    assert listed == {
        "file:///x": ("a", "file:///x"),
        "a+own://status": ("a", "own://status"),
        "b+file:///x": ("b", "file:///x"),
        "b://y": ("b", "b://y"),
    }


def test_a_uri_that_looks_like_an_address_is_listed_with_one() -> None:
    assert listed_uris({"git": [], "a": ["git+ssh://x"]}) == {"a+git+ssh://x": ("a", "git+ssh://x")}
