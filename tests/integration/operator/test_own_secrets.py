"""The keys by which the operator signs for all namespaces, where somebody may create hosts beside it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fairlead_operator.cluster.permissions import OWN_SECRETS
from tests.integration.operator.control_plane import OPERATOR_NAMESPACE, ControlPlane
from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until


@pytest.fixture
def beside(plane: ControlPlane, tmp_path: Path) -> Iterator[Cluster]:
    """The operator's own namespace, watched as others are."""
    operator = RunningOperator(plane, tmp_path / "operator.log", FAIRLEAD_WATCH_NAMESPACES=OPERATOR_NAMESPACE)
    operator.until_working()
    cluster = Cluster(plane, OPERATOR_NAMESPACE)
    yield cluster
    for name in ("by-login", "by-value"):
        cluster.delete("remotehost", name)
    until(lambda: all(cluster.get("remotehost", name) is None for name in ("by-login", "by-value")), "the hosts go")
    operator.stop()


def by_value(secret: str) -> dict[str, Any]:
    reference = {"secretKeyRef": {"name": secret, "key": "jwks.json"}}
    return {"environment": {"variables": [{"name": "KEYS", "valueFrom": reference}]}}


@pytest.mark.parametrize("secret", OWN_SECRETS)
def test_no_pod_gets_the_operators_keys(beside: Cluster, secret: str) -> None:
    login = {"auth": {"type": "Secret", "secret": {"name": secret}}}
    beside.plane.apply(
        host(beside.namespace, "by-login", **login), host(beside.namespace, "by-value", **by_value(secret))
    )
    for name in ("by-login", "by-value"):
        until(lambda name=name: beside.reason("remotehost", name) == "InvalidSpec", f"{name} is refused")  # type: ignore[misc]  # bound now
        assert beside.get("deployment", f"rh-{name}") is None
    (ready,) = (some for some in beside.status("rh", "by-value")["conditions"] if some["type"] == "Ready")
    assert f"'{secret}' (with the key jwks.json for spec.environment) holds keys of the operator" in ready["message"]
