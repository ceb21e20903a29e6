"""From an Authorization header to a caller."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead_sidecar import tokens
from fairlead_sidecar.access.grants import LOCAL_CALLER, Grants, Unauthenticated
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
    assert valid.current(valid.authenticate([f"Bearer {text}"]).key) is not None
    assert valid.owners() >= {"owner"}
    with pytest.raises(Unauthenticated) as refused:
        expired.authenticate([f"Bearer {text}"])
    assert refused.value.reason == "expired_token"
    assert expired.current(tokens.sha256_hex(text)) is None
    assert "owner" not in expired.owners()


def test_the_probe_has_no_permissions_and_needs_its_hash_in_the_configuration() -> None:
    caller = grants().authenticate([f"Bearer {PROBE}"])
    assert caller.is_probe
    assert not caller.permissions
    with pytest.raises(Unauthenticated):
        grants(probe=None).authenticate([f"Bearer {PROBE}"])


def test_a_grant_cannot_make_itself_the_local_user() -> None:
    assert grants().current(LOCAL_CALLER.key) is LOCAL_CALLER
    with pytest.raises(Unauthenticated):
        grants().authenticate([f"Bearer {LOCAL_CALLER.key}"])


def test_a_caller_does_not_show_its_credential() -> None:
    text = tokens.mint()
    caller = grants(grant(text)).authenticate([f"Bearer {text}"])
    assert caller.key not in repr(caller)
