"""The demo on a cluster: chart, host, RemoteHost, McpToken, then an agent through the Ingress."""

import base64
import subprocess
import sys

import asyncssh
import yaml

from tests.cluster import sshhost
from tests.cluster.console import ClusterError, say, step
from tests.cluster.images import load
from tests.cluster.state import State
from tests.demo import agent
from tests.e2e.support.agent import initialize
from tests.e2e.support.hosts import new_key, private_pem, public_line
from tests.e2e.support.install import install
from tests.e2e.support.kube import Kube, Object, condition, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until

NAMESPACE = "fairlead-demo"
MACHINES = "fairlead-demo-machines"
"""Where the host runs that Fairlead logs in to: it stands for a machine outside the cluster."""
HOST = "web-01"
TOKEN = "agent"
SERVER = {"name": "stock", "type": "Stdio", "stdio": {"command": "shop-stock"}}
"""An MCP server that lives on the machine; a login shell finds it in ~/.local/bin."""


def run() -> None:
    """Show it all.

    Raises:
        ClusterError: The cluster can't be brought up, or images can't be built.
        AssertionError: Something did not become what it should.
    """
    # A process of its own, as with `make cluster`: it goes on where that one left off.
    if subprocess.run([sys.executable, "-m", "tests.cluster", "up"], check=False).returncode:
        msg = "the cluster did not come up; see above"
        raise ClusterError(msg)
    state = State.of_checkout()
    cluster = state.describe()
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    with step("images, then helm install fairlead charts/fairlead"):
        install(cluster, kube)
    with step("a machine with OpenSSH"):
        images = load.loaded(state)
        private_key, host_key = _machine(kube, images["sshhost"])
    with step(f"kubectl apply: the Secret with the SSH key, RemoteHost {HOST}, McpToken {TOKEN}"):
        host = remote_host(NAMESPACE, HOST, f"{HOST}.{MACHINES}.svc.cluster.local", host_key, mcpServers=[SERVER])
        token = mcp_token(NAMESPACE, TOKEN, [HOST], ["View", "Read", "Execute", "Write", "Call"])
        _show(host, token)
        kube.apply(secret(NAMESPACE, f"{HOST}-ssh", ssh_privatekey=private_key), host, token)
    with step("Ready: logged in over SSH, and a handshake through the Service"):
        # On a repeated run the host was Ready before, with the pod of the former image.
        wait_until(lambda: _runs(kube, images["sidecar"]), timeout=60, what="the pod has the new image")
        kube.run("rollout", "status", "--namespace", NAMESPACE, f"deployment/rh-{HOST}", "--timeout=60s", timeout=70)
        wait_condition(kube, "remotehost", HOST, NAMESPACE, "Ready", "True", timeout=60)
        wait_condition(kube, "mcptoken", TOKEN, NAMESPACE, "Ready", "True", timeout=60)
        wait_until(lambda: _serves(kube), timeout=60, what=f"the MCP server {SERVER['name']} is Ready")
    with step(f"kubectl get rh,mcpt --namespace {NAMESPACE}"):
        say(_indented(kube.run("get", "rh,mcpt", "--namespace", NAMESPACE)))
    url, value = _url(kube), _token(kube)
    with step("the Ingress controller routes the URL"):
        wait_until(lambda: initialize(url, None).status_code == 401, timeout=30, what=f"{url} asks for a token")
    agent.works(url, value)
    agent.asks(url, value, f"{SERVER['name']}__in_stock", item="lamps")
    agent.lines_to_paste(HOST, url, value)
    say(f"The host and the token stay: kubectl --namespace {NAMESPACE} get rh,mcpt (for kubectl in this shell:")
    say('eval "$(make -s cluster-env)"). `make cluster-down` removes everything.')


def _machine(kube: Kube, image: str) -> tuple[str, str]:
    """The machine's login key (private) and host key (public line); both are kept over repeated runs."""
    for namespace, level in ((NAMESPACE, "restricted"), (MACHINES, "privileged")):
        labels = {"pod-security.kubernetes.io/enforce": level}
        kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})
    login_key = _kept_key(kube, NAMESPACE, f"{HOST}-ssh", "ssh-privatekey")
    host_key = _kept_key(kube, MACHINES, f"{HOST}-sshd", "ssh_host_key")
    kube.apply(
        *sshhost.manifests(
            HOST, MACHINES, image=image, host_key=private_pem(host_key), authorized_keys=public_line(login_key)
        )
    )
    kube.run("rollout", "status", "--namespace", MACHINES, f"deployment/{HOST}", "--timeout=60s", timeout=70)
    return private_pem(login_key), public_line(host_key)


def _kept_key(kube: Kube, namespace: str, name: str, key: str) -> asyncssh.SSHKey:
    kept = kube.get("secret", name, namespace)
    return new_key() if kept is None else asyncssh.import_private_key(base64.b64decode(kept["data"][key]))


def _runs(kube: Kube, image: str) -> bool:
    deployment = kube.get("deployment", f"rh-{HOST}", NAMESPACE)
    containers = deployment["spec"]["template"]["spec"]["containers"] if deployment else ()
    return any(container["image"] == image for container in containers)


def _serves(kube: Kube) -> bool:
    host = kube.get("remotehost", HOST, NAMESPACE) or {}
    servers: list[Object] = host["status"].get("mcpServers") or []
    return any(condition({"status": server}, "Ready").get("status") == "True" for server in servers)


def _url(kube: Kube) -> str:
    host = kube.get("remotehost", HOST, NAMESPACE) or {}
    return str(host["status"]["url"])


def _token(kube: Kube) -> str:
    token = kube.get("mcptoken", TOKEN, NAMESPACE) or {}
    made = kube.get("secret", token["status"]["secretName"], NAMESPACE) or {}
    return base64.b64decode(made["data"]["token"]).decode()


def _show(*objects: Object) -> None:
    say(_indented(yaml.safe_dump_all(objects, sort_keys=False)))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.rstrip().splitlines())
