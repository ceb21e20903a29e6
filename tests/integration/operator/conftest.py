import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.operator.control_plane import ControlPlane, control_plane
from tests.integration.operator.running import Cluster, RunningOperator


@pytest.fixture(scope="package")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane for all tests here; it burdens no others."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as plane:
        yield plane


@pytest.fixture
def cluster(plane: ControlPlane) -> Iterator[Cluster]:
    """A namespace of the test's own."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", namespace)
    yield Cluster(plane, namespace)
    plane.kubectl("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")


StartOperator = Callable[..., RunningOperator]


@pytest.fixture
def start_operator(plane: ControlPlane, cluster: Cluster, tmp_path: Path) -> Iterator[StartOperator]:
    """Starts operators that serve the test's namespace only; all are ended with the test."""
    started: list[RunningOperator] = []

    def start(**settings: str) -> RunningOperator:
        log = tmp_path / f"operator-{len(started)}.log"
        operator = RunningOperator(plane, log, FAIRLEAD_WATCH_NAMESPACES=cluster.namespace, **settings)
        started.append(operator)
        return operator

    yield start
    for operator in started:
        operator.stop()


@pytest.fixture
def operator(start_operator: StartOperator) -> RunningOperator:
    """An operator at work."""
    operator = start_operator()
    operator.until_working()
    return operator
