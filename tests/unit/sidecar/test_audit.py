"""The form of the audit trail."""

import io
import json

import pytest

from fairlead_sidecar import tokens
from fairlead_sidecar.audit import AuditLog, trace_id


def written(**record: object) -> dict[str, object]:
    stream = io.StringIO()
    AuditLog(stream).write("call", record)
    (line,) = stream.getvalue().splitlines()
    parsed = json.loads(line)
    assert isinstance(parsed, dict)
    return parsed


def test_members_that_are_none_are_left_out() -> None:
    assert set(written(tool="x", client=None)) == {"log", "time", "kind", "tool"}


@pytest.mark.parametrize("key", ["command", "path", "tool", "client", "user_agent", "forwarded_for"])
def test_our_own_tokens_are_blotted_out_wherever_they_stand(key: str) -> None:
    for token in (tokens.mint(), tokens.probe_token(b"k", "uid")):
        parsed = tokens.parse(token)
        assert parsed is not None
        assert written(**{key: f"a {token} b"})[key] == f"a flt_{parsed.id}_REDACTED b"


def test_a_token_cut_by_the_bound_is_blotted_out_too() -> None:
    token = tokens.mint()
    for before in range(200, 260):
        assert token[17:30] not in str(written(client="x" * before + token)["client"])


def test_a_part_of_a_token_is_blotted_out() -> None:
    token = tokens.mint()
    assert token[17:40] not in str(written(command=token[:40])["command"])


def test_long_fields_are_bounded() -> None:
    assert len(str(written(client="x" * 10_000)["client"])) == 256


def test_the_first_usable_traceparent_counts() -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert trace_id(None, 7, "nonsense", f"00-{trace}-00f067aa0ba902b7-01") == trace
    assert len(trace_id()) == 32
