"""Operator and sidecar together: what an agent meets while tokens follow each other."""

import base64
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jwt
import pytest

from tests.integration.operator.manifests import host, token
from tests.integration.operator.running import Cluster, RunningOperator, until
from tests.integration.operator.sidecars import URL_TEMPLATE, RunningSidecar, status


@pytest.fixture
def sidecar(
    cluster: Cluster, start_operator: Callable[..., RunningOperator], tmp_path: Path
) -> Iterator[RunningSidecar]:
    """An operator at work, a host, and its sidecar. The host itself is away, which tokens don't care for."""
    # Test processes must not meet on an address.
    address = f"127.{os.getpid() >> 16 & 63 | 64}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
    start_operator(FAIRLEAD_SIDECAR_URL_TEMPLATE=URL_TEMPLATE.format(address=address)).until_working()
    cluster.plane.apply(host(cluster.namespace))
    with RunningSidecar(cluster, address, tmp_path).run() as running:
        yield running


def _text(cluster: Cluster) -> str:
    found = cluster.get("secret", "mcpt-agent")
    return base64.b64decode(found["data"]["token"]).decode() if found else ""


def _rotate(cluster: Cluster, value: str) -> None:
    cluster.plane.kubectl(
        "-n", cluster.namespace, "annotate", "mcptoken", "agent", f"fairlead.dev/rotate={value}", "--overwrite"
    )


def _rotated(cluster: Cluster, value: str) -> str:
    """Another token, as soon as the Secret shows it."""
    former = _text(cluster)
    _rotate(cluster, value)
    until(lambda: _text(cluster) != former, "the Secret shows another token")
    return _text(cluster)


@pytest.mark.parametrize("kind", ["Opaque", "JWT"])
def test_who_reads_a_new_token_can_use_it_at_once_and_the_former_one_goes_on(
    cluster: Cluster, sidecar: RunningSidecar, kind: str
) -> None:
    cluster.plane.apply(token(cluster.namespace, format=kind))
    until(lambda: cluster.reason("mcptoken", "agent") == "Ready", "the host accepts the token")
    before = _text(cluster)
    assert sidecar.initialize(before).status_code == 200
    for trial in range(3):
        began = time.monotonic()
        new = _rotated(cluster, str(trial))
        assert sidecar.initialize(new).status_code == 200
        assert time.monotonic() - began < 5, "nobody waits for a host that answers"
    assert sidecar.initialize(before).status_code == 200
    assert cluster.reason("mcptoken", "agent") == "Ready"


def test_the_former_token_is_refused_once_the_overlap_is_over(cluster: Cluster, sidecar: RunningSidecar) -> None:
    cluster.plane.apply(token(cluster.namespace, rotation={"overlap": "2s"}))
    until(lambda: cluster.reason("mcptoken", "agent") == "Ready", "the host accepts the token")
    before, new = _text(cluster), _rotated(cluster, "1")
    until(lambda: sidecar.initialize(before).status_code == 401, "the former one ends")
    assert sidecar.initialize(new).status_code == 200


def test_a_jwt_works_where_its_audience_says_and_its_id_is_known(cluster: Cluster, sidecar: RunningSidecar) -> None:
    cluster.plane.apply(token(cluster.namespace, format="JWT"))
    until(lambda: cluster.reason("mcptoken", "agent") == "Ready", "the host accepts the token")
    text = _text(cluster)
    assert sidecar.initialize(text).status_code == 200
    claims = jwt.decode(text, options={"verify_signature": False})
    assert claims["jti"] == status(cluster)["tokenID"]
    cluster.plane.apply(token(cluster.namespace, format="JWT", suspended=True))
    until(lambda: sidecar.initialize(text).status_code == 401, "it is refused", seconds=3)
    cluster.plane.apply(token(cluster.namespace, format="JWT", suspended=False))
    until(lambda: sidecar.initialize(text).status_code == 200, "it works again")


def test_the_status_tells_the_hour_of_the_last_use_and_stays_at_that(cluster: Cluster, sidecar: RunningSidecar) -> None:
    cluster.plane.apply(token(cluster.namespace))
    until(lambda: cluster.reason("mcptoken", "agent") == "Ready", "the host accepts the token")
    assert "lastUsedTime" not in status(cluster)
    sidecar.initialize(_text(cluster))
    until(lambda: "lastUsedTime" in status(cluster), "the use is known")
    assert status(cluster)["lastUsedTime"].endswith(":00:00Z")
    version = cluster.found("mcptoken", "agent")["metadata"]["resourceVersion"]
    hour = status(cluster)["lastUsedTime"]
    for _ in range(20):
        sidecar.initialize(_text(cluster))
    time.sleep(1)
    after = cluster.found("mcptoken", "agent")
    assert after["metadata"]["resourceVersion"] == version or after["status"]["lastUsedTime"] != hour


def test_a_token_is_good_from_certain_networks_only(cluster: Cluster, sidecar: RunningSidecar) -> None:
    cluster.plane.apply(token(cluster.namespace, sourceCIDRs=["127.0.0.0/8"]))
    until(lambda: cluster.reason("mcptoken", "agent") == "Ready", "the host accepts the token")
    text = _text(cluster)
    assert sidecar.initialize(text).status_code == 200
    cluster.plane.apply(token(cluster.namespace, sourceCIDRs=["192.0.2.0/24"]))
    until(lambda: sidecar.initialize(text).status_code == 403, "it is refused from here", seconds=3)
    headers = {"X-Forwarded-For": "192.0.2.7"}
    assert sidecar.initialize(text, **headers).status_code == 403, "nobody trusts this client to say where it is"
    cluster.plane.apply(token(cluster.namespace))
    until(lambda: sidecar.initialize(text).status_code == 200, "it works from anywhere")


def test_each_token_has_its_share_of_what_a_host_allows(cluster: Cluster, sidecar: RunningSidecar) -> None:
    cluster.plane.apply(
        token(cluster.namespace), token(cluster.namespace, name="other", rateLimit={"multiplierPercent": 300})
    )
    until(lambda: cluster.reason("mcptoken", "other") == "Ready", "the host accepts the tokens")
    cluster.plane.apply(host(cluster.namespace, limits={"requestsPerMinute": 4}))
    until(lambda: sidecar.initialize(_text(cluster)).status_code == 429, "the host's limit is in force")
    answer = sidecar.initialize(_text(cluster))
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 60
    other = base64.b64decode(cluster.found("secret", "mcpt-other")["data"]["token"]).decode()
    assert [sidecar.initialize(other).status_code for _ in range(13)] == 12 * [200] + [429]
