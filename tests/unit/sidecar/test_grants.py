"""From an Authorization header to a caller."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead_sidecar import tokens
from fairlead_sidecar.access.grants import LOCAL_CALLER, AddressRefused, Grants, Unauthenticated
from fairlead_sidecar.config import (
    Permission,
    PinnedHostKeys,
    SecretFiles,
    SidecarConfig,
    Target,
    TokenGrant,
)

PROBE = tokens.probe_token(b"k" * 32, "uid")


def grant(text: str, **changes: Any) -> TokenGrant:
    parsed = tokens.parse(text)
    assert parsed is not None
    fields: dict[str, Any] = {
        "id": parsed.id,
        "uid": "owner",
        "subject": "agent",
        "secret_sha256": tokens.sha256_hex(text),
        "permissions": {Permission.VIEW},
    }
    return TokenGrant(**fields | changes)


def grants(*given: TokenGrant, probe: str | None = PROBE) -> Grants:
    return Grants(
        SidecarConfig(
            instance="uid",
            namespace="shop",
            name="web-01",
            target=Target(address="host", username="deploy"),
            auth=SecretFiles(secret_name="s"),
            host_key=PinnedHostKeys(public_keys=("k",)),
            tokens=given,
            probe_sha256=tokens.sha256_hex(probe) if probe else None,
        )
    )


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_case_insensitive(scheme: str) -> None:
    text = tokens.mint()
    caller = grants(grant(text)).authenticate([f"{scheme} {text}"])
    assert (caller.subject, caller.owner, *caller.permissions) == ("agent", "owner", Permission.VIEW)


def test_two_tokens_of_one_id_are_told_apart() -> None:
    old, new = tokens.mint("abcdefghij27"), tokens.mint("abcdefghij27")
    both = grants(grant(old, subject="old"), grant(new, subject="new"))
    assert both.authenticate([f"Bearer {old}"]).subject == "old"
    assert both.authenticate([f"Bearer {new}"]).subject == "new"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "missing_token"),
        ([""], "malformed_token"),
        (["Bearer"], "malformed_token"),
        (["Basic x"], "malformed_token"),
        (["Bearer x", "Bearer x"], "malformed_token"),
        ([f"Bearer {tokens.mint()}"], "unknown_token"),
        ([f"Bearer {tokens.probe_token(b'other', 'uid')}"], "unknown_token"),
    ],
)
def test_everything_else_is_refused_with_a_reason(headers: list[str], reason: str) -> None:
    with pytest.raises(Unauthenticated) as refused:
        grants(grant(tokens.mint())).authenticate(headers)
    assert refused.value.reason == reason


def test_a_token_whose_id_fits_and_whose_secret_does_not_is_refused() -> None:
    known, other = tokens.mint("abcdefghij27"), tokens.mint("abcdefghij27")
    with pytest.raises(Unauthenticated):
        grants(grant(known)).authenticate([f"Bearer {other}"])


def test_expiry_counts_from_its_very_moment() -> None:
    text = tokens.mint()
    now = datetime.now(UTC)
    valid = grants(grant(text, expires_at=now + timedelta(hours=1)))
    expired = grants(grant(text, expires_at=now))
    caller = valid.authenticate([f"Bearer {text}"])
    assert valid.current(caller) is not None
    assert valid.owners() >= {"owner"}
    with pytest.raises(Unauthenticated) as refused:
        expired.authenticate([f"Bearer {text}"])
    assert refused.value.reason == "expired_token"
    assert expired.current(caller) is None
    assert "owner" not in expired.owners()


def test_the_probe_has_no_permissions_and_needs_its_hash_in_the_configuration() -> None:
    caller = grants().authenticate([f"Bearer {PROBE}"])
    assert caller.is_probe
    assert not caller.permissions
    with pytest.raises(Unauthenticated):
        grants(probe=None).authenticate([f"Bearer {PROBE}"])


def test_a_grant_cannot_make_itself_the_local_user() -> None:
    assert grants().current(LOCAL_CALLER) is LOCAL_CALLER
    with pytest.raises(Unauthenticated):
        grants().authenticate([f"Bearer {LOCAL_CALLER.key}"])


def test_a_caller_does_not_show_its_credential() -> None:
    text = tokens.mint()
    caller = grants(grant(text)).authenticate([f"Bearer {text}"])
    assert caller.key not in repr(caller)


FORMER, NEWER = tokens.mint(), tokens.mint()


def test_what_was_begun_with_a_former_token_goes_on_with_its_successor() -> None:
    now = datetime.now(UTC)
    overlapping = grants(grant(FORMER, expires_at=now + timedelta(hours=1)), grant(NEWER))
    caller = overlapping.authenticate([f"Bearer {FORMER}"])
    current = overlapping.current(caller)
    assert current is not None
    assert current.token_id == caller.token_id

    over = grants(grant(FORMER, expires_at=now), grant(NEWER))
    with pytest.raises(Unauthenticated, match="expired"):
        over.authenticate([f"Bearer {FORMER}"])
    for later in (over, grants(grant(NEWER))):
        current = later.current(caller)
        assert current is not None
        assert current.token_id == tokens.parse(NEWER).id  # type: ignore[union-attr] # it was minted above
    assert grants(grant(NEWER, uid="another")).current(caller) is None


def test_an_owner_is_spoken_for_by_the_token_that_is_valid_for_longest() -> None:
    now = datetime.now(UTC)
    soon, late = (now + timedelta(hours=hours) for hours in (1, 2))
    for given in ((soon, late), (late, soon), (soon, None), (None, soon)):
        permissions = [{Permission.READ} if expiry is not soon else {Permission.VIEW} for expiry in given]
        both = (
            grant(text, expires_at=expiry, permissions=held)
            for text, expiry, held in zip((FORMER, NEWER), given, permissions, strict=True)
        )
        caller = grants(*both).of_owner("owner")
        assert caller is not None
        assert caller.permissions == {Permission.READ}


@pytest.mark.parametrize("address", ["203.0.113.9", None, "garbage"])
def test_a_token_is_refused_outside_of_its_networks(address: str | None) -> None:
    text = tokens.mint()
    here = grants(grant(text, source_cidrs=("10.0.0.0/8", "2001:db8::/32")))
    for good in ("10.1.2.3", "2001:db8::7", "::ffff:10.1.2.3"):
        assert here.authenticate([f"Bearer {text}"], good).address == good
    with pytest.raises(AddressRefused) as refused:
        here.authenticate([f"Bearer {text}"], address)
    assert refused.value.caller.subject == "agent"
    assert grants().authenticate([f"Bearer {PROBE}"], address).is_probe


def test_a_caller_stands_while_any_token_of_its_owner_holds_its_address() -> None:
    caller = grants(grant(FORMER)).authenticate([f"Bearer {FORMER}"], "10.1.2.3")
    moved = grants(grant(FORMER, source_cidrs=("192.168.0.0/16",)), grant(NEWER, source_cidrs=("192.168.0.0/16",)))
    assert moved.current(caller) is None
    assert moved.elsewhere(caller)
    assert moved.of_owner("owner") is not None
    one_holds = grants(grant(FORMER, source_cidrs=("192.168.0.0/16",)), grant(NEWER, source_cidrs=("10.0.0.0/8",)))
    assert one_holds.current(caller) is not None
    assert not grants().elsewhere(caller)


def test_an_empty_list_of_networks_holds_nobody() -> None:
    text = tokens.mint()
    with pytest.raises(AddressRefused):
        grants(grant(text, source_cidrs=())).authenticate([f"Bearer {text}"], "10.0.0.1")
