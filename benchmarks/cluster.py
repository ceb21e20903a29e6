"""`python -m benchmarks cluster`: how fast hosts become Ready and tokens die, on the test cluster.

Every host logs in to one real OpenSSH pod. The chart is installed as the end-to-end tests install it.
"""

import asyncio
import base64
import re
import time
import uuid
from dataclasses import dataclass

import httpx

from benchmarks.watching import ReadyWatch, watching
from tests.cluster.state import State
from tests.e2e.support.agent import initialize
from tests.e2e.support.hosts import SshHost, deploy_ssh_host
from tests.e2e.support.install import install
from tests.e2e.support.kube import Kube, Object, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret

HOSTS = 20
TRIALS = 20
IDLE_SECONDS = 30
REVOCATION_TIMEOUT = 30.0
_METRIC = re.compile(
    r'^(pod_\w+)\{namespace="(?P<namespace>[^"]+)",pod="(?P<pod>[^"]+)"\} (?P<value>\S+)', re.MULTILINE
)


@dataclass(frozen=True)
class PodUsage:
    """What the kubelet counts for one pod."""

    cpu_seconds: float
    memory_mib: float
    """Working set."""


@dataclass(frozen=True)
class ClusterReport:
    """Everything that was measured; times in seconds."""

    one_at_a_time: list[float]
    """From the start of `kubectl apply` to Ready=True."""
    at_once: list[float]
    """The same for hosts applied together; the longest is when all were Ready."""
    started: list[PodUsage]
    """Of each pod, once all of these were Ready."""
    idle_cpu_share: float
    """CPU seconds a second of one pod that is connected and has nothing to do."""
    revocations: list[float]
    """From the deletion of a token until a request with it got 401."""


@dataclass(frozen=True)
class Stage:
    """Where it is measured."""

    kube: Kube
    namespace: str
    ssh_host: SshHost

    def host(self, name: str) -> Object:
        """A RemoteHost, as a user writes it."""
        return remote_host(
            self.namespace,
            name,
            self.ssh_host.address,
            self.ssh_host.public_host_key,
            auth={"type": "Secret", "secret": {"name": "bench-ssh"}},
        )


def measure() -> ClusterReport:
    """Run everything, one after the other, in namespaces of its own that are removed afterwards."""
    cluster = State.of_checkout().describe()
    kube = Kube(cluster.kubectl, cluster.kubeconfig)
    install(cluster, kube)
    suffix = uuid.uuid4().hex[:6]
    machines, namespace = f"bench-machines-{suffix}", f"bench-{suffix}"
    kube.apply(*(_namespace(name) for name in (machines, namespace)))
    try:
        stage = Stage(kube, namespace, deploy_ssh_host(kube, machines, "machine"))
        kube.apply(secret(namespace, "bench-ssh", ssh_privatekey=stage.ssh_host.private_key))
        return asyncio.run(_measure(stage))
    finally:
        # The hosts first: their pods then end their connections while the machine still answers.
        kube.run("delete", "namespace", namespace, "--timeout=120s", timeout=130)
        kube.run("delete", "namespace", machines, "--wait=false")


async def _measure(stage: Stage) -> ClusterReport:
    async with watching(stage.kube.kubeconfig, stage.namespace) as watch:
        singles = [await _one_host(stage, watch, f"single-{number:02}") for number in range(HOSTS)]
        names = [f"together-{number:02}" for number in range(HOSTS)]
        start = time.monotonic()
        await asyncio.to_thread(stage.kube.apply, *(stage.host(name) for name in names))
        together = [ready - start for ready in (await watch.until_ready(*names)).values()]
    started = await asyncio.to_thread(_usage, stage)
    await asyncio.sleep(IDLE_SECONDS)
    later = await asyncio.to_thread(_usage, stage)
    idle = sum(usage.cpu_seconds for usage in later.values()) - sum(usage.cpu_seconds for usage in started.values())
    return ClusterReport(
        one_at_a_time=singles,
        at_once=together,
        started=list(started.values()),
        idle_cpu_share=idle / len(started) / IDLE_SECONDS,
        revocations=[await asyncio.to_thread(_revocation, stage, names[0], trial) for trial in range(TRIALS)],
    )


async def _one_host(stage: Stage, watch: ReadyWatch, name: str) -> float:
    start = time.monotonic()
    await asyncio.to_thread(stage.kube.apply, stage.host(name))
    seconds = (await watch.until_ready(name))[name] - start
    await asyncio.to_thread(stage.kube.delete, "remotehost", name, stage.namespace)
    await asyncio.to_thread(stage.kube.wait_gone, "deployment", f"rh-{name}", stage.namespace)
    # Its pod ends in the background; the next host would share the processor with that.
    arguments = ("wait", "pods", "-l", f"fairlead.dev/host={name}", "-n", stage.namespace, "--for=delete")
    await asyncio.to_thread(stage.kube.run, *arguments, timeout=90)
    return seconds


def _usage(stage: Stage) -> dict[str, PodUsage]:
    """CPU and memory of the namespace's pods, from the kubelet."""
    nodes = {pod["spec"]["nodeName"] for pod in stage.kube.list("pods", stage.namespace)}
    text = "\n".join(stage.kube.run("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/resource") for node in nodes)
    values = {
        (match[1], match["pod"]): float(match["value"])
        for match in _METRIC.finditer(text)
        if match["namespace"] == stage.namespace
    }
    pods = {pod for _, pod in values}
    return {
        pod: PodUsage(
            cpu_seconds=values["pod_cpu_usage_seconds_total", pod],
            memory_mib=values["pod_memory_working_set_bytes", pod] / 2**20,
        )
        for pod in pods
    }


def _revocation(stage: Stage, host: str, trial: int) -> float:
    """Delete a token that works, and wait until it does not."""
    name = f"doomed-{trial:02}"
    stage.kube.apply(mcp_token(stage.namespace, name, [host]))
    wait_condition(stage.kube, "mcptoken", name, stage.namespace, "Ready", "True")
    url = (stage.kube.get("remotehost", host, stage.namespace) or {})["status"]["url"]
    made = (stage.kube.get("secret", f"mcpt-{name}", stage.namespace) or {})["data"]
    token = base64.b64decode(made["token"]).decode()
    if not _works(url, token):
        msg = "the new token does not work"
        raise RuntimeError(msg)
    stage.kube.delete("mcptoken", name, stage.namespace, wait=False)
    deleted = time.monotonic()
    while _works(url, token):
        if time.monotonic() - deleted > REVOCATION_TIMEOUT:
            msg = f"the token still works {REVOCATION_TIMEOUT:g} s after its deletion"
            raise TimeoutError(msg)
    return time.monotonic() - deleted


def _works(url: str, token: str) -> bool:
    """Whether the endpoint takes the token; False on 401 only."""
    try:
        status = initialize(url, token).status_code
    except httpx.RemoteProtocolError:
        # The revocation cut this very answer short; the next request shows what holds.
        return True
    if status not in {200, 401}:
        msg = f"the endpoint answered {status}"
        raise RuntimeError(msg)
    return status == 200


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
