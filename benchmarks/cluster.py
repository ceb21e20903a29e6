"""`python -m benchmarks cluster`: how fast hosts become Ready and tokens die, on the test cluster.

Every host logs in to one real OpenSSH pod. The chart is installed as the end-to-end tests install it.
"""

import asyncio
import re
import time
import uuid
from dataclasses import dataclass

from benchmarks import revocation
from benchmarks.revocation import Place, Trial
from benchmarks.watching import ReadyWatch, watching
from tests.cluster.state import State
from tests.e2e.support.hosts import SshHost, deploy_ssh_host
from tests.e2e.support.install import install
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host, secret

HOSTS = 20
IDLE_SECONDS = 30
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
    revocations: dict[str, list[Trial]]
    """By the way in which the token was revoked."""


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
        revocations=await revocation.measure(Place(stage.kube, stage.namespace, names[0], stage.ssh_host)),
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


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
