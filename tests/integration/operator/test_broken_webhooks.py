"""A webhook that does not answer: whoever creates a host then is told of it at the host."""

from collections.abc import Iterator

import pytest

from tests.integration.operator.manifests import host
from tests.integration.operator.running import Cluster, RunningOperator, until

WEBHOOK = "broken.example.com"


@pytest.fixture
def broken_webhook(cluster: Cluster) -> Iterator[None]:
    """Nothing listens where the API server asks about Services of the test's namespace."""
    cluster.plane.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": cluster.namespace},
            "webhooks": [
                {
                    "name": WEBHOOK,
                    "clientConfig": {"url": "https://127.0.0.1:1/"},
                    "rules": [
                        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["services"]}
                    ],
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "admissionReviewVersions": ["v1"],
                }
            ],
        }
    )
    yield
    _remove(cluster)


def _remove(cluster: Cluster) -> None:
    cluster.plane.kubectl("delete", "validatingwebhookconfiguration", cluster.namespace, "--ignore-not-found")


def _admitted(cluster: Cluster) -> bool:
    """Whether a Service can be created."""
    try:
        cluster.plane.kubectl(
            "create", "service", "clusterip", "probe", "--tcp=80", "-n", cluster.namespace, "--dry-run=server"
        )
    except AssertionError:
        return False
    return True


def test_a_new_host_says_which_webhook_does_not_answer(
    cluster: Cluster, operator: RunningOperator, broken_webhook: None
) -> None:
    until(lambda: not _admitted(cluster), "the webhook is in force")
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.reason("remotehost", "web-01") == "ApplyFailed", "the host says what is in the way")
    told = [condition["message"] for condition in cluster.status("remotehost", "web-01")["conditions"]]
    assert any(f'failed calling webhook "{WEBHOOK}"' in message for message in told), told

    _remove(cluster)
    until(lambda: cluster.reason("remotehost", "web-01") == "PodNotReady", "it goes on by itself")
