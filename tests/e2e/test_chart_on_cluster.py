"""The chart on a real cluster: what `helm test` says, what the operator may not do, and the example in the notes."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from tests.cluster.images import load
from tests.cluster.state import Description, State
from tests.e2e.support.admission import admitted, changed
from tests.e2e.support.chart import CHART, helm
from tests.e2e.support.install import RELEASE, Installation, chart_values
from tests.e2e.support.kube import Kube, Object

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


def helm_test(cluster: Description, release: str, namespace: str) -> str:
    """Run `helm test`; what its pod reported."""
    where = ["--namespace", namespace, "--kubeconfig", cluster.kubeconfig]
    return helm(cluster.helm, "test", release, *where, "--logs", "--timeout", "180s")


def may(kube: Kube, account: str, verb: str, resource: str, *where: str) -> bool:
    """Whether RBAC lets the account do it."""
    answer = kube.run("auth", "can-i", verb, resource, *where, "--as", account, check=False).strip()
    # What follows a no is its reason.
    assert answer.split()[:1] in (["yes"], ["no"]), answer
    return answer.startswith("yes")


def examples(notes: str) -> list[Object]:
    """The objects that the notes tell people to apply."""
    (text,) = re.findall(r"<<'END'\n(.*?)\nEND\n", notes, re.DOTALL)
    return list(yaml.safe_load_all(text))


def test_helm_test_passes_on_a_fresh_installation(cluster: Description, installation: Installation) -> None:
    report = helm_test(cluster, RELEASE, installation.namespace)

    assert "all permissions are granted in all namespaces" in report
    assert "/apis/fairlead.dev/v1alpha1/remotehosts is served" in report
    assert "the operator is ready" in report


@pytest.fixture
def stranger(cluster: Description, kube: Kube, namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig for an account that may do nothing."""
    config = json.loads(kube.run("config", "view", "--raw", "--minify", "--flatten", "--output=json"))
    token = kube.run("create", "token", "default", "--namespace", namespace).strip()
    config["users"][0]["user"] = {"token": token}
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return path


@pytest.fixture
def ready_url() -> Iterator[str]:
    """Something that says that it is ready."""

    class Ready(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: the test's output is what counts."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ready) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()
        thread.join()


def test_helm_test_fails_where_a_permission_is_missing(stranger: Path, ready_url: str, namespace: str) -> None:
    environment = {
        "KUBECONFIG": str(stranger),
        "FAIRLEAD_NAMESPACE": namespace,
        "FAIRLEAD_WATCH_NAMESPACES": namespace,
        "FAIRLEAD_SIDECAR_IMAGE": "example.com/sidecar",
    }

    result = subprocess.run(
        [sys.executable, "-m", "fairlead_operator.selftest", ready_url],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert result.returncode == 1, result.stderr
    assert f"FAILED  permissions missing in namespace {namespace}: get remotehosts, list remotehosts," in result.stdout
    assert f"FAILED  /apis/fairlead.dev/v1alpha1/namespaces/{namespace}/remotehosts can't be listed" in result.stdout
    assert f"ok      the operator is ready: {ready_url}" in result.stdout


@pytest.mark.parametrize(
    ("verb", "resource", "subresource"),
    [
        ("delete", "secrets", ""),
        ("create", "pods", ""),
        ("create", "pods", "exec"),
        ("get", "nodes", ""),
        ("list", "namespaces", ""),
        ("delete", "configmaps", ""),
        ("create", "serviceaccounts", "token"),
        ("update", "remotehosts.fairlead.dev", ""),
        ("delete", "mcptokens.fairlead.dev", ""),
        ("create", "clusterrolebindings.rbac.authorization.k8s.io", ""),
        ("impersonate", "users", ""),
    ],
)
def test_the_operator_may_not_do_what_it_does_not_need(
    kube: Kube, installation: Installation, verb: str, resource: str, subresource: str
) -> None:
    account = f"system:serviceaccount:{installation.namespace}:fairlead-operator"

    assert not may(kube, account, verb, resource, "--all-namespaces", f"--subresource={subresource}")


def test_the_example_in_the_notes_is_admitted(
    cluster: Description, kube: Kube, installation: Installation, admission_namespace: str
) -> None:
    where = ["--namespace", installation.namespace, "--kubeconfig", cluster.kubeconfig]
    host, token = examples(helm(cluster.helm, "get", "notes", RELEASE, *where))

    for obj in (changed(host, "spec.hostKey.pinned.publicKeys", [KEY]), token):
        admitted(kube, changed(obj, "metadata.namespace", admission_namespace))


@pytest.fixture
def scoped_release(cluster: Description, namespace: str) -> Iterator[str]:
    """A second operator that serves its own, strictly secured namespace and nothing else."""
    values = chart_values(load.ensure(State.of_checkout()), cluster)
    values |= {"crds": {"enabled": False}, "watchNamespaces": [namespace], "replicas": 2}
    where = ["--namespace", namespace, "--kubeconfig", cluster.kubeconfig]
    helm(cluster.helm, "install", "scoped", CHART, *where, "--wait", "--timeout", "240s", values=values)
    yield "scoped"
    helm(cluster.helm, "uninstall", "scoped", *where)


def test_an_operator_of_one_namespace_works_with_roles_there_alone(
    cluster: Description, kube: Kube, namespace: str, scoped_release: str
) -> None:
    report = helm_test(cluster, scoped_release, namespace)

    assert f"all permissions are granted in namespace {namespace}" in report
    assert "the operator is ready" in report
    account = f"system:serviceaccount:{namespace}:scoped-fairlead-operator"
    assert may(kube, account, "list", "remotehosts.fairlead.dev", "--namespace", namespace)
    assert not may(kube, account, "list", "remotehosts.fairlead.dev", "--namespace", "default")
