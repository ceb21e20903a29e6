"""A configuration of a newer version is refused, but what it takes away is gone."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead_sidecar.config import (
    Permission,
    PinnedHostKeys,
    SecretFiles,
    SidecarConfig,
    Target,
    TokenGrant,
    ToolSelection,
)
from fairlead_sidecar.narrowing import narrowed

FIRST = TokenGrant(
    id="aaaaaaaaaaaa",
    uid="1",
    subject="first",
    secret_sha256="1" * 64,
    permissions=frozenset({Permission.VIEW, Permission.EXECUTE}),
)
SECOND = FIRST.model_copy(update={"id": "bbbbbbbbbbbb", "uid": "2", "subject": "second", "secret_sha256": "2" * 64})
NEW = FIRST.model_copy(update={"id": "cccccccccccc", "secret_sha256": "3" * 64})


def configuration(*tokens: TokenGrant) -> SidecarConfig:
    return SidecarConfig(
        instance="uid",
        namespace="shop",
        name="web-01",
        target=Target(address="host", username="deploy"),
        auth=SecretFiles(secret_name="s"),
        host_key=PinnedHostKeys(public_keys=("k",)),
        tokens=tokens,
    )


def in_force() -> SidecarConfig:
    return configuration(FIRST, SECOND)


def newer(change: Callable[[dict[str, Any]], None], *tokens: TokenGrant) -> bytes:
    data = json.loads(configuration(*tokens).render()) | {"flavour": "new"}
    change(data)
    return json.dumps(data).encode()


def nothing(_: dict[str, Any]) -> None:
    """Change nothing else."""


def test_who_is_listed_no_longer_is_let_in_no_longer() -> None:
    config = narrowed(in_force(), newer(nothing, SECOND))
    assert config is not None
    assert config.tokens == (SECOND,)
    assert config.model_copy(update={"tokens": in_force().tokens}) == in_force()


def test_nothing_changes_where_everybody_stays() -> None:
    assert narrowed(in_force(), newer(nothing, FIRST, SECOND)) is None


def test_nobody_new_is_let_in() -> None:
    assert narrowed(in_force(), newer(nothing, FIRST, SECOND, NEW)) is None


def test_permissions_are_only_taken_away() -> None:
    def other_permissions(data: dict[str, Any]) -> None:
        data["tokens"][0]["permissions"] = ["View", "Write", "Levitate"]

    config = narrowed(in_force(), newer(other_permissions, FIRST, SECOND))
    assert config is not None
    assert [token.permissions for token in config.tokens] == [{Permission.VIEW}, SECOND.permissions]


def test_a_field_of_a_token_that_is_not_known_changes_nothing() -> None:
    def unknown(data: dict[str, Any]) -> None:
        for token in data["tokens"]:
            token["colour"] = "red"

    assert narrowed(in_force(), newer(unknown, FIRST, SECOND)) is None


def test_a_token_that_expires_sooner_does_so() -> None:
    def expires(data: dict[str, Any]) -> None:
        data["tokens"][1]["expires_at"] = "2020-01-01T00:00:00Z"

    config = narrowed(in_force(), newer(expires, FIRST, SECOND))
    assert config is not None
    assert [token.expires_at is None for token in config.tokens] == [True, False]


def test_a_token_is_let_do_no_more_than_before() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    bounded = FIRST.model_copy(
        update={
            "tools": ToolSelection(allow=("read_*", "list_files"), deny=("read_secret",)),
            "source_cidrs": ("10.1.0.0/16", "192.0.2.1"),
            "rate_percent": 50,
            "expires_at": now,
        }
    )
    wider = bounded.model_copy(
        update={
            "tools": ToolSelection(allow=("*",)),
            "source_cidrs": ("10.0.0.0/8", "192.0.2.0/24"),
            "rate_percent": 200,
            "expires_at": now + timedelta(days=1),
        }
    )
    assert narrowed(configuration(bounded), newer(nothing, wider)) in (None, configuration(bounded))
    assert narrowed(configuration(bounded), newer(nothing, FIRST)) in (None, configuration(bounded))
    # A version may call a bound by another name.
    assert narrowed(configuration(bounded), newer(lambda data: data["tokens"][0].pop("tools"), bounded)) is None


def test_a_token_is_let_do_only_what_both_configurations_allow() -> None:
    former = FIRST.model_copy(
        update={
            "tools": ToolSelection(allow=("read_*", "list_files", "job_?", "job_id_?"), deny=("a",)),
            "source_cidrs": ("10.0.0.0/8", "192.0.2.1"),
            "rate_percent": 100,
        }
    )
    after = FIRST.model_copy(
        update={
            "tools": ToolSelection(allow=("read_file", "list_*", "job_*", "job_id_7", "execute_command"), deny=("b",)),
            "source_cidrs": ("10.2.0.0/16", "192.0.2.0/24", "fd00::/8"),
            "rate_percent": 20,
        }
    )
    config = narrowed(configuration(former), newer(nothing, after))
    assert config is not None
    (token,) = config.tokens
    assert set(token.tools.allow or ()) == {"read_file", "list_files", "job_?", "job_id_?", "job_id_7"}
    assert set(token.tools.deny) == {"a", "b"}
    assert set(token.source_cidrs or ()) == {"10.2.0.0/16", "192.0.2.1"}
    assert token.rate_percent == 20


def test_what_has_nothing_in_common_lets_nothing_through() -> None:
    former = FIRST.model_copy(update={"tools": ToolSelection(allow=("job_?",)), "source_cidrs": ("10.0.0.0/8",)})
    after = FIRST.model_copy(update={"tools": ToolSelection(allow=("read_*",)), "source_cidrs": ("fd00::/8",)})
    config = narrowed(configuration(former), newer(nothing, after))
    assert config is not None
    assert (config.tokens[0].tools.allow, config.tokens[0].source_cidrs) == ((), ())


def test_tokens_of_another_kind_keep_nobody_in_force() -> None:
    def other_kind(data: dict[str, Any]) -> None:
        data["tokens"] += [{"id": "dddddddddddd", "certificate": "c"}, {"id": [], "secret_sha256": None}, 3]

    config = narrowed(in_force(), newer(other_kind, SECOND))
    assert config is not None
    assert config.tokens == (SECOND,)


def test_a_token_whose_bounds_can_not_be_read_is_let_in_no_longer() -> None:
    def unreadable(data: dict[str, Any]) -> None:
        data["tokens"][0]["source_cidrs"] = {"weekdays": ["10.0.0.0/8"]}

    config = narrowed(in_force(), newer(unreadable, FIRST, SECOND))
    assert config is not None
    assert config.tokens == (SECOND,)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}", b'{"tokens": 3}', b'{"tokens": [3]}', b'{"tokens": [{}]}'])
def test_what_is_no_configuration_takes_nothing_away(raw: bytes) -> None:
    assert narrowed(in_force(), raw) is None
