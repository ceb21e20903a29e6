"""Tokens follow each other: what their Secret shows, and what hosts are told meanwhile. No pod answers here."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.integration.operator.manifests import host, token
from tests.integration.operator.running import Cluster, RunningOperator, until


def _token(cluster: Cluster, name: str = "mcpt-agent") -> str:
    found = cluster.get("secret", name)
    return base64.b64decode(found["data"]["token"]).decode() if found else ""


def _grants(cluster: Cluster) -> list[dict[str, Any]]:
    configuration = cluster.configuration()
    return configuration["tokens"] if configuration else []


def _rotate(cluster: Cluster, value: str = "now") -> None:
    cluster.plane.kubectl(
        "-n", cluster.namespace, "annotate", "mcptoken", "agent", f"fairlead.dev/rotate={value}", "--overwrite"
    )


def _events(cluster: Cluster, reason: str) -> list[dict[str, Any]]:
    found = cluster.plane.reader.all("events", cluster.namespace)
    return [event for event in found if event["reason"] == reason]


def _given(cluster: Cluster, **spec: Any) -> str:
    """A host and a token, whose text is returned."""
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace, **spec))
    until(cluster.tokens, "the host knows the token")
    return _token(cluster)


def test_the_annotation_brings_another_token_which_hosts_know_before_its_secret_shows_it(
    cluster: Cluster, operator: RunningOperator
) -> None:
    before = _given(cluster)
    _rotate(cluster)
    until(lambda: len(_grants(cluster)) == 2, "the host knows both tokens")
    assert _token(cluster) == before, "nobody can read a token that hosts don't know yet"
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    until(lambda: len(_events(cluster, "Rotated")) == 1, "an Event tells of it")
    shown = _token(cluster).split("_")[1]
    until(lambda: cluster.status("mcptoken", "agent")["tokenID"] == shown, "the status names it")
    until(lambda: _ends(cluster, before) < timedelta(hours=1, seconds=5), "the former token ends after the overlap")
    assert _ends(cluster, _token(cluster)) > timedelta(hours=700)
    assert len({grant["uid"] for grant in _grants(cluster)}) == 1
    data = cluster.found("secret", "mcpt-agent")["data"]
    assert base64.b64decode(data["authorization"]).decode() == f"Bearer {_token(cluster)}"


def _ends(cluster: Cluster, text: str) -> timedelta:
    """In how long a token ends, as its host knows it."""
    (grant,) = (grant for grant in _grants(cluster) if grant["id"] == text.split("_")[1])
    return datetime.fromisoformat(grant["expires_at"]) - datetime.now(UTC)


def test_a_former_token_is_gone_after_the_overlap_without_another_write_to_the_secret(
    cluster: Cluster, operator: RunningOperator
) -> None:
    before = _given(cluster, rotation={"overlap": "3s"})
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    version = cluster.found("secret", "mcpt-agent")["metadata"]["resourceVersion"]
    until(lambda: len(_grants(cluster)) == 1, "the host knows the new token only")
    assert cluster.found("secret", "mcpt-agent")["metadata"]["resourceVersion"] == version


def test_without_overlap_the_former_token_ends_with_the_rotation(cluster: Cluster, operator: RunningOperator) -> None:
    before = _given(cluster, rotation={"overlap": "0s"})
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    until(lambda: cluster.tokens() == [_token(cluster).split("_")[1]], "the former token is gone", seconds=2)


def test_a_token_that_was_rotated_while_suspended_never_works_again(
    cluster: Cluster, operator: RunningOperator
) -> None:
    before = _given(cluster)
    cluster.plane.apply(token(cluster.namespace, suspended=True))
    until(lambda: not cluster.tokens(), "no token is told")
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token", seconds=3)
    cluster.plane.apply(token(cluster.namespace, suspended=False))
    until(lambda: cluster.tokens() == [_token(cluster).split("_")[1]], "only the new token works")


def test_a_restart_finds_the_former_token_and_rotates_no_further(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    before = _given(cluster)
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    until(lambda: len(_grants(cluster)) == 2, "the host knows both")
    after, grants = _token(cluster), _grants(cluster)
    operator.stop()
    again = start_operator()
    again.until_working()
    until(lambda: again.metric("fairlead_reconciles_total") >= 2, "everything was looked at")
    time.sleep(1)
    assert _token(cluster) == after
    assert _grants(cluster) == grants
    assert len(_events(cluster, "Rotated")) == 1


def test_an_operator_that_dies_in_the_middle_of_a_rotation_leaves_a_good_token(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    before = _given(cluster)
    _rotate(cluster)
    until(lambda: len(_grants(cluster)) == 2, "the host knows both tokens")
    operator.kill()
    assert _token(cluster) == before
    assert before.split("_")[1] in cluster.tokens()
    start_operator()
    # The Lease of the dead one has to run out first.
    until(lambda: _token(cluster) != before, "the rotation is made up for")
    until(
        lambda: sorted(cluster.tokens()) == sorted(text.split("_")[1] for text in (before, _token(cluster))),
        "the host knows the former and the present token, and none that nobody has",
    )


def test_a_token_gives_way_when_its_interval_was_over_while_no_operator_ran(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    before = _given(cluster)
    operator.stop()
    secret = cluster.found("secret", "mcpt-agent")
    state = json.loads(secret["metadata"]["annotations"]["fairlead.dev/rotation"])
    long_ago = (datetime.now(UTC) - timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    changed = json.dumps({**state, "since": long_ago})
    cluster.plane.kubectl(
        "-n", cluster.namespace, "annotate", "secret", "mcpt-agent", f"fairlead.dev/rotation={changed}", "--overwrite"
    )
    cluster.plane.apply(token(cluster.namespace, rotation={"interval": "1h", "overlap": "10m"}))
    start_operator().until_working()
    until(lambda: _token(cluster) != before, "the token gave way")
    after = _token(cluster)
    time.sleep(6)
    assert _token(cluster) == after, "however many intervals were missed: one rotation"
    (event,) = _events(cluster, "Rotated")
    assert "spec.rotation.interval is over" in event["note"]


def test_what_a_token_may_do_less_holds_for_the_former_as_well(cluster: Cluster, operator: RunningOperator) -> None:
    before = _given(cluster)
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    cluster.plane.apply(
        token(cluster.namespace, sourceCIDRs=["10.0.0.0/8"], rateLimit={"multiplierPercent": 50}, permissions=["View"])
    )
    until(
        lambda: (
            [(g["source_cidrs"], g["rate_percent"], g["permissions"]) for g in _grants(cluster)]
            == 2 * [(["10.0.0.0/8"], 50, ["View"])]
        ),
        "both are bound",
        seconds=2,
    )


def test_a_relabelled_host_loses_the_token_and_those_before_it_at_once(
    cluster: Cluster, operator: RunningOperator
) -> None:
    selector = {"selector": {"matchLabels": {"env": "prod"}}}
    before = _given(cluster, hosts=selector)
    _rotate(cluster)
    until(lambda: _token(cluster) != before, "the Secret shows the new token")
    until(lambda: len(_grants(cluster)) == 2, "the host knows both")
    cluster.plane.kubectl("-n", cluster.namespace, "label", "remotehost", "web-01", "env=test", "--overwrite")
    until(lambda: not cluster.tokens(), "the host knows none", seconds=2)
    cluster.plane.kubectl("-n", cluster.namespace, "label", "remotehost", "web-01", "env=prod", "--overwrite")
    until(lambda: len(_grants(cluster)) == 2, "the host knows both again", seconds=2)
