"""One cluster and one installed operator for the whole run; a namespace of its own for every test."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.state import Description, State
from tests.e2e.support.hosts import Shop, SshHost, deploy_ssh_host
from tests.e2e.support.install import Installation, install
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until

TIMEOUT = 300
"""Seconds for a test: longer than it waits for anything, so that what it waited for in vain is in its message."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test here that time, unless it has its own."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def cluster() -> Description:
    """The cluster that `make cluster` brought up."""
    return State.of_checkout().describe()


@pytest.fixture(scope="session")
def gateway(cluster: Description) -> Object:
    """A reference to the cluster's Gateway, as routes name it; the own cluster always has one."""
    if not cluster.gateway:
        pytest.skip("this cluster has no Gateway: set FAIRLEAD_GATEWAY")
    namespace, _, name = cluster.gateway.partition("/")
    return {"name": name, "namespace": namespace}


@pytest.fixture(scope="session")
def kube(cluster: Description) -> Kube:
    """kubectl for that cluster."""
    return Kube(cluster.kubectl, cluster.kubeconfig)


@pytest.fixture(scope="session")
def installation(cluster: Description, kube: Kube) -> Installation:
    """Fairlead, installed with its chart as the README says."""
    return install(cluster, kube)


def _namespace(name: str, *, level: str) -> Object:
    labels = {"pod-security.kubernetes.io/enforce": level, "fairlead.dev/end-to-end-test": "true"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


@pytest.fixture(scope="session")
def hosts_namespace(kube: Kube) -> Iterator[str]:
    """Where the SSH servers run that Fairlead logs in to: outside the namespaces it manages hosts in."""
    name = f"hosts-{uuid.uuid4().hex[:6]}"
    kube.apply(_namespace(name, level="privileged"))
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def ssh_host(kube: Kube, installation: Installation, hosts_namespace: str) -> SshHost:
    """An SSH server that all tests share; who breaks one deploys its own."""
    return deploy_ssh_host(kube, hosts_namespace, "shared")


@pytest.fixture
def own_ssh_host(kube: Kube, installation: Installation, hosts_namespace: str) -> Iterator[SshHost]:
    """An SSH server that the test may break."""
    host = deploy_ssh_host(kube, hosts_namespace, f"own-{uuid.uuid4().hex[:6]}")
    yield host
    kube.run("delete", "deployment,service,secret", "-n", hosts_namespace, "-l", host.selector, "--wait=false")


def _new_shop_namespace(kube: Kube) -> str:
    """A namespace with the strictest Pod Security that Kubernetes has."""
    name = f"shop-{uuid.uuid4().hex[:6]}"
    kube.apply(_namespace(name, level="restricted"))
    # Without it the API server refuses pods, and it comes a moment later.
    wait_until(lambda: kube.get("serviceaccount", "default", name), what=f"{name} has an account for pods")
    return name


@pytest.fixture
def namespace(kube: Kube, installation: Installation) -> Iterator[str]:
    """A namespace for one test."""
    name = _new_shop_namespace(kube)
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def strangers_namespace(kube: Kube, installation: Installation) -> Iterator[str]:
    """A namespace of somebody who has no rights in the test's own."""
    name = _new_shop_namespace(kube)
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def admission_namespace(kube: Kube, installation: Installation) -> Iterator[str]:
    """A namespace for objects that the API server judges, and of which hardly any is kept."""
    name = _new_shop_namespace(kube)
    yield name
    kube.run("delete", "namespace", name, "--wait=false")


def _open_shop(kube: Kube, installation: Installation, namespace: str, ssh_host: SshHost) -> Shop:
    shop = Shop(kube, installation, namespace, ssh_host)
    kube.apply(
        secret(namespace, "web-01-ssh", ssh_privatekey=ssh_host.private_key),
        remote_host(namespace, "web-01", ssh_host.address, ssh_host.public_host_key),
        mcp_token(namespace, "agent", ["web-01"]),
    )
    shop.wait_ready("web-01")
    shop.wait_token_ready("agent")
    shop.wait_routed("web-01")
    return shop


@pytest.fixture
def shop(kube: Kube, installation: Installation, namespace: str, ssh_host: SshHost) -> Shop:
    """One Ready host `web-01` with one working token `agent`: where most tests begin."""
    return _open_shop(kube, installation, namespace, ssh_host)


@pytest.fixture(scope="session")
def shared_shop(kube: Kube, installation: Installation, ssh_host: SshHost) -> Iterator[Shop]:
    """The same for tests that change neither host nor token."""
    name = _new_shop_namespace(kube)
    yield _open_shop(kube, installation, name, ssh_host)
    kube.run("delete", "namespace", name, "--wait=false")
