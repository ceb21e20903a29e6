"""The own cluster: everything from pinned source on this machine, in namespaces of its own, with no way out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster import addons, build, dns, namespaces, node, packages
from tests.cluster.console import ClusterError, step
from tests.cluster.controlplane import ControlPlane
from tests.cluster.images.scratch import write_archive
from tests.cluster.node import Node
from tests.cluster.pki import Authority
from tests.cluster.processes import Processes, wait_until
from tests.cluster.state import REPOSITORY, Description, State


def node_of(state: State) -> Node:
    """Return the node of this checkout's own cluster."""
    return Node(state, Processes(state.root / "processes", state.root / "logs"))


def up(state: State) -> Description:
    """Bring the cluster up, or repair what does not run; return once node, DNS and Ingress are ready.

    Raises ClusterError.
    """
    packages.ensure(packages.NODE, cni=True)
    programs = build.ensure()
    with state.locked():
        machine = node_of(state)
        if machine.holder is None:
            _clear(state, machine)
        ports = state.ports(api=6443, http=8080, https=8443)
        with step("start the control plane and the node"):
            images = _start(machine, programs, ports)
        with step("install DNS and the Ingress controller"):
            _install(machine, programs, ports, images)
        description = _describe(machine, programs, ports)
        state.publish(description)
    return description


def down(state: State) -> None:
    """Remove every trace of the cluster but the cache of binaries and images."""
    with state.locked(), step("remove the cluster"):
        state.withdraw()
        machine = node_of(state)
        machine.processes.stop("relay", grace=0)
        machine.remove()
        shutil.rmtree(state.root)


def images(state: State) -> set[str]:
    """Return the names of the images on the node."""
    return node_of(state).images()


def load_image(state: State, archive: Path) -> None:
    """Load an image archive into the node."""
    node_of(state).load_image(archive)


def _clear(state: State, machine: Node) -> None:
    """Clear away what a cluster left that ended without `down`, as when the machine was restarted; keep its ports."""
    state.withdraw()
    machine.processes.stop("relay", grace=0)
    machine.remove()
    (state.root / "images.json").unlink(missing_ok=True)
    for path in state.root.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _start(machine: Node, programs: Mapping[str, Path], ports: Mapping[str, int]) -> dict[str, str]:
    """Start all programs of the control plane and the node; return the names of the add-ons' images."""
    machine.ensure_namespaces(programs["pause"])
    control_plane = ControlPlane(machine, programs)
    control_plane.ensure_credentials(f"https://127.0.0.1:{ports['api']}")
    control_plane.start_api()
    _start_relay(machine, ports)
    images, archives = _own_images(programs)
    machine.start_containerd(images["pause"])
    present = machine.images()
    for name, image in images.items():
        if image not in present:
            machine.load_image(archives[name])
    wait_until(
        lambda: _kubectl(machine, programs, "get", "--raw=/readyz").returncode == 0,
        "the API server",
        timeout=60,
        explain=lambda: machine.processes.tail("kube-apiserver"),
    )
    control_plane.start_controllers()
    machine.start_kubelet(programs["kubelet"])
    machine.start_kube_proxy(programs["kube-proxy"])
    return images


def _start_relay(machine: Node, ports: Mapping[str, int]) -> None:
    """Make the API server and the Ingress reachable on this machine's loopback."""
    holder = machine.holder
    if holder is None:
        raise ClusterError(f"the node ended while it started\n{machine.processes.tail('init')}")
    targets = {ports["api"]: 6443, ports["http"]: ports["http"], ports["https"]: ports["https"]}
    machine.processes.ensure(
        "relay",
        [
            *("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "tests.cluster.relay"),
            f"/proc/{holder}/ns/net",
            *(f"{outside}={node.ADDRESS}:{inside}" for outside, inside in targets.items()),
        ],
        born=lambda: namespaces.children_in(holder),
    )


def _own_images(programs: Mapping[str, Path]) -> tuple[dict[str, str], dict[str, Path]]:
    """Return names and archives of the images that hold one of our own programs each; they are written once."""
    images, archives = {}, {}
    for name in ("pause", "coredns", "traefik"):
        directory = programs[name].parent.name
        images[name] = f"localhost/fairlead/{name}:{directory.rpartition('-')[2]}"
        archives[name] = build.cache_dir() / "images" / f"{directory}.tar"
        archives[name].parent.mkdir(parents=True, exist_ok=True)
        if not archives[name].exists():
            write_archive(programs[name], images[name], archives[name])
    return images, archives


def _install(machine: Node, programs: Mapping[str, Path], ports: Mapping[str, int], images: Mapping[str, str]) -> None:
    certificate = Authority.ensure(machine.etc / "pki", "ingress-ca").issue(
        "ingress", "localhost", hosts=["localhost", "127.0.0.1", addons.INGRESS_HOST, f"*.{addons.INGRESS_HOST}"]
    )
    coredns = {"domain": node.DOMAIN, "dns_address": node.DNS, "node_address": node.ADDRESS}
    addons.gateway_crds(
        programs["kubectl"],
        machine.state.kubeconfig,
        str(build.gateway_api()),
        version=build.GATEWAY_API_VERSION,
    )
    addons.apply(
        programs["kubectl"],
        machine.state.kubeconfig,
        [
            addons.manifest("base"),
            addons.manifest("coredns", image=images["coredns"], ingress_host=addons.INGRESS_HOST, **coredns),
            *addons.ingress_controller(
                images["traefik"], http=ports["http"], https=ports["https"], certificate=certificate
            ),
            addons.gateway(http=ports["http"], https=ports["https"]),
        ],
    )
    for arguments in (
        ("wait", "--for=condition=Ready", f"node/{node.NAME}", "--timeout=180s"),
        ("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=180s"),
        ("-n", "traefik", "rollout", "status", "deployment/traefik", "--timeout=180s"),
        ("-n", "traefik", "wait", "--for=condition=Programmed", "gateway/traefik", "--timeout=180s"),
    ):
        done = _kubectl(machine, programs, *arguments)
        if done.returncode:
            logs = machine.processes.tail("kubelet")
            raise ClusterError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}\nkubelet says:\n{logs}")
    wait_until(lambda: _dns_answers(machine), "the cluster's DNS", timeout=90)


def _dns_answers(machine: Node) -> bool:
    """A pod that is ready is not reached before kube-proxy has heard of it, too."""
    try:
        return dns.ask(machine.holder or 0, node.DNS, f"kubernetes.default.svc.{node.DOMAIN}").code == dns.NO_ERROR
    except OSError:
        return False


def _describe(machine: Node, programs: Mapping[str, Path], ports: Mapping[str, int]) -> Description:
    return Description(
        kind="own",
        context=machine.state.name,
        kubeconfig=str(machine.state.kubeconfig),
        kubectl=str(programs["kubectl"]),
        helm=str(programs["helm"]),
        ingress_class="traefik",
        ingress_url=f"http://localhost:{ports['http']}",
        ingress_tls_url=f"https://localhost:{ports['https']}",
        ingress_ca=str(machine.etc / "pki" / "ingress-ca.crt"),
        ingress_pod_host=addons.INGRESS_HOST,
        gateway=addons.GATEWAY,
        namespace_holder=machine.holder or 0,
        faults=True,
    )


def _kubectl(machine: Node, programs: Mapping[str, Path], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(programs["kubectl"]), "--kubeconfig", str(machine.state.kubeconfig), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
