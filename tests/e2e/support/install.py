"""Fairlead on the test cluster, installed with its chart."""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.images import load
from tests.cluster.locks import exclusive
from tests.cluster.node import PODS
from tests.cluster.state import REPOSITORY, Description, State
from tests.e2e.support.kube import Kube, Object, condition
from tests.e2e.support.waiting import wait_until

NAMESPACE = "fairlead-system"
RELEASE = "fairlead"


@dataclass(frozen=True)
class Installation:
    """The release that the tests work with."""

    kube: Kube
    namespace: str
    operator: str
    """The operator's Deployment, as kubectl names it."""

    def kill_operator(self) -> None:
        """End the operator's process without a chance to say good-bye."""
        self.kube.run(
            "delete", "pods", "-n", self.namespace, "-l", self._selector, "--grace-period=0", "--force", "--wait=false"
        )

    def wait_operator_ready(self) -> None:
        """Wait until an operator runs and is Ready. What the Deployment says of that may be about one just killed."""
        wait_until(lambda: any(_is_ready(pod) for pod in self.pods()), what="the operator is ready")

    def pods(self) -> list[Object]:
        """The operator's pods."""
        return self.kube.list("pods", self.namespace, self._selector)

    @contextlib.contextmanager
    def operator_down(self) -> Iterator[None]:
        """No operator runs within the block; afterwards one does."""
        self.kube.run("scale", self.operator, "-n", self.namespace, "--replicas=0")
        wait_until(lambda: not self.pods(), what="no operator runs")
        try:
            yield
        finally:
            self.kube.run("scale", self.operator, "-n", self.namespace, "--replicas=1")
            self.wait_operator_ready()

    @property
    def _selector(self) -> str:
        return "app.kubernetes.io/component=operator"


def _is_ready(pod: Object) -> bool:
    return "deletionTimestamp" not in pod["metadata"] and condition(pod, "Ready").get("status") == "True"


def chart_values(images: dict[str, str], cluster: Description) -> dict[str, object]:
    """Values as a user of this cluster would give them."""

    def image(reference: str) -> dict[str, str]:
        repository, _, tag = reference.rpartition(":")
        return {"repository": repository, "tag": tag}

    return {
        "image": {"operator": image(images["operator"]), "sidecar": image(images["sidecar"])},
        "endpoint": {"className": cluster.ingress_class, "urlPrefix": cluster.ingress_url, "trustedProxies": [PODS]},
    }


def install(cluster: Description, kube: Kube) -> Installation:
    """Install or upgrade the release, and wait until the operator is Ready."""
    values = chart_values(load.ensure(State.of_checkout()), cluster)
    command = [cluster.helm, "upgrade", RELEASE, str(REPOSITORY / "charts" / "fairlead"), "--install", "--wait"]
    command += ["--namespace", NAMESPACE, "--create-namespace", "--timeout", "300s", "--values", "-"]
    # Several processes of a test run may install at the same time; the second one finds everything as it should be.
    with exclusive(Path(tempfile.gettempdir()) / f"fairlead-install-{REPOSITORY.name}.lock"):
        result = subprocess.run(
            [*command, "--kubeconfig", cluster.kubeconfig],
            input=json.dumps(values),
            text=True,
            capture_output=True,
            check=False,
        )
    assert result.returncode == 0, result.stderr
    return Installation(kube, NAMESPACE, "deployment/fairlead-operator")
