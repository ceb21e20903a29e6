"""A kind cluster: the node is a container; DNS comes with it, traefik is pulled."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import yaml

from tests.cluster import addons, build, choose
from tests.cluster.console import ClusterError, step
from tests.cluster.pki import Authority
from tests.cluster.state import Description, State

_GATEWAY_API = (
    "https://github.com/kubernetes-sigs/gateway-api/releases/download/"
    f"v{build.GATEWAY_API_VERSION}/standard-install.yaml"
)


def up(state: State) -> Description:
    """Create the cluster unless it is there, and install the Ingress controller.

    Raises ClusterError.
    """
    kubectl, helm = (Path(shutil.which(name) or name) for name in ("kubectl", "helm"))
    with state.locked():
        ports = state.ports(http=8080, https=8443)
        if state.name not in _kind("get", "clusters").split():
            config = state.root / "kind.yaml"
            config.write_text(yaml.safe_dump(_configuration(ports)))
            with step("create the kind cluster"):
                _kind("create", "cluster", "--name", state.name, "--config", str(config), "--wait", "120s")
        state.kubeconfig.touch(mode=0o600)
        state.kubeconfig.write_text(_kind("get", "kubeconfig", "--name", state.name))
        with step("install the Ingress controller"):
            authority = Authority.ensure(state.root / "pki", "ingress-ca")
            certificate = authority.issue("ingress", "localhost", hosts=["localhost", "127.0.0.1"])
            image = f"docker.io/library/traefik:v{build.TRAEFIK_VERSION}"
            traefik = addons.ingress_controller(image, **ports, certificate=certificate)
            addons.gateway_crds(kubectl, state.kubeconfig, _GATEWAY_API, version=build.GATEWAY_API_VERSION)
            addons.apply(kubectl, state.kubeconfig, [*traefik, addons.gateway(**ports)])
            rollout = ["-n", "traefik", "rollout", "status", "deployment/traefik", "--timeout=180s"]
            _run(str(kubectl), "--kubeconfig", str(state.kubeconfig), *rollout)
        description = Description(
            kind="kind",
            context=f"kind-{state.name}",
            kubeconfig=str(state.kubeconfig),
            kubectl=str(kubectl),
            helm=str(helm),
            ingress_class="traefik",
            ingress_url=f"http://localhost:{ports['http']}",
            ingress_tls_url=f"https://localhost:{ports['https']}",
            ingress_ca=str(authority.pair.certificate),
            ingress_pod_host="",
            gateway=addons.GATEWAY,
            namespace_holder=0,
            faults=True,
        )
        state.publish(description)
    return description


def down(state: State) -> None:
    """Delete the cluster."""
    with state.locked(), step("delete the kind cluster"):
        state.withdraw()
        _kind("delete", "cluster", "--name", state.name)
        shutil.rmtree(state.root)


def load_image(state: State, archive: Path) -> None:
    """Load an image archive into the node."""
    _kind("load", "image-archive", str(archive), "--name", state.name)


def _configuration(ports: dict[str, int]) -> dict[str, object]:
    """The Ingress controller listens on the same ports inside the node as outside."""
    mappings = [{"containerPort": port, "hostPort": port, "listenAddress": "127.0.0.1"} for port in ports.values()]
    nodes = [{"role": "control-plane", "extraPortMappings": mappings}]
    return {"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes}


def _kind(*arguments: str) -> str:
    provider = {"podman": ["env", "KIND_EXPERIMENTAL_PROVIDER=podman"]}.get(choose.container_engine() or "", [])
    return _run(*provider, "kind", *arguments)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ClusterError(f"{' '.join(command)} failed: {done.stderr.strip()}")
    return done.stdout
