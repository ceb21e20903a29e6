"""More tokens than a host's configuration holds: the youngest wait, and all others go on."""

import json
import time
from typing import Any

from tests.integration.operator.manifests import host, token
from tests.integration.operator.running import Cluster, RunningOperator, until

LARGE = {"allow": [f"a{number:0127}" for number in range(128)], "deny": [f"b{number:0127}" for number in range(128)]}
"""Some 33 kB in a configuration that holds 1 MB."""
FITTING = 29


def _large(cluster: Cluster, number: int, **spec: Any) -> dict[str, Any]:
    return token(cluster.namespace, name=f"large-{number:02}", tools=LARGE, **spec)


def _reason(cluster: Cluster, name: str) -> str:
    return cluster.reason("mcptoken", name)


def test_the_youngest_wait_and_say_so_until_there_is_room(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), host(cluster.namespace, name="web-02"))
    cluster.plane.apply(*(_large(cluster, number) for number in range(FITTING)))
    until(lambda: len(cluster.tokens()) == FITTING, "the host knows them all")
    # Times of creation are whole seconds.
    time.sleep(1)
    cluster.plane.apply(_large(cluster, 99, hosts={"names": ["web-01"]}))
    until(lambda: len(_waiting(cluster)) == 1, "one waits")
    assert len(cluster.tokens()) == FITTING
    assert 900_000 < len(json.dumps(cluster.configuration())) < 1_048_576
    until(lambda: _reason(cluster, "large-00") == "Distributing", "all others go on: only no pod answers here")
    (waiting,) = _waiting(cluster)
    assert waiting == "large-99"
    message = cluster.found("mcptoken", waiting)["status"]["conditions"][0]["message"]
    assert "web-01" in message
    assert "web-02" not in message
    cluster.delete("mcptoken", "large-07")
    until(lambda: _waiting(cluster) == [], "the one that waited found room")
    assert len(cluster.tokens()) == FITTING


def _waiting(cluster: Cluster) -> list[str]:
    names = [*(f"large-{number:02}" for number in range(FITTING)), "large-99"]
    return [name for name in names if _reason(cluster, name) == "TooManyTokens"]
