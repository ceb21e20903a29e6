"""The own cluster on this machine: it works, it heals, two live side by side, and nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster import dns, node, own
from tests.cluster.processes import wait_until
from tests.cluster.state import Description, State

# Some of them bring up a cluster.
pytestmark = pytest.mark.timeout(400)

_LEFT_BEHIND = (
    "/run",
    "/run/netns",
    "/var/lib",
    "/var/lib/cni",
    "/var/log",
    "/var/run",
    "/opt",
    "/etc/cni",
    "/usr/libexec",
)
_KERNEL_KNOBS = ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[State]:
    state = State(tmp_path_factory.mktemp("state") / "fairlead" / "cluster-a")
    own.up(state)
    yield state
    own.down(state)


@pytest.fixture(scope="module")
def kubectl(cluster: State) -> Callable[..., str]:
    return _kubectl(cluster.describe())


def _kubectl(description: Description) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        command = [description.kubectl, "--kubeconfig", description.kubeconfig, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout

    return run


def test_pods_can_be_read_and_entered_through_the_api(kubectl: Callable[..., str]) -> None:
    assert "CoreDNS" in kubectl("-n", "kube-system", "logs", "deployment/coredns")
    assert "CoreDNS" in kubectl("-n", "kube-system", "exec", "deployment/coredns", "--", "/coredns", "-version")


def test_a_port_of_a_pod_can_be_forwarded(cluster: State) -> None:
    description = cluster.describe()
    command = [description.kubectl, "--kubeconfig", description.kubeconfig, "-n", "kube-system", "port-forward"]
    with subprocess.Popen([*command, "deployment/coredns", ":8181"], stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            port = int(forward.stdout.readline().split("->")[0].rpartition(":")[2])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=30) as answer:
                assert answer.status == 200
        finally:
            forward.terminate()


def test_services_have_names_and_names_outside_do_not_exist(cluster: State) -> None:
    holder = cluster.describe().namespace_holder
    api = dns.ask(holder, node.DNS, "kubernetes.default.svc.cluster.local", timeout=5)
    assert api == dns.Answer(dns.NO_ERROR, "10.96.0.1")
    assert dns.ask(holder, node.DNS, "any.ingress.test", timeout=5) == dns.Answer(dns.NO_ERROR, node.ADDRESS)
    assert dns.ask(holder, node.DNS, "www.example.com", timeout=5).code == dns.NO_SUCH_NAME


def test_the_ingress_answers_on_this_machines_loopback(cluster: State) -> None:
    description = cluster.describe()
    trust = ssl.create_default_context(cafile=description.ingress_ca)
    for url, context in ((description.ingress_url, None), (description.ingress_tls_url, trust)):
        with pytest.raises(urllib.error.HTTPError) as answer:
            urllib.request.urlopen(url, context=context, timeout=30)
        assert answer.value.code == 404
        answer.value.close()


def test_the_gateway_takes_routes_and_serves_at_the_same_ports(kubectl: Callable[..., str]) -> None:
    gateway = json.loads(kubectl("-n", "traefik", "get", "gateway", "traefik", "-o", "json"))
    for listener in gateway["status"]["listeners"]:
        conditions = {condition["type"]: condition["status"] for condition in listener["conditions"]}
        assert (conditions["Accepted"], conditions["Programmed"]) == ("True", "True")


def test_the_api_is_verified_and_closed_to_strangers(cluster: State, kubectl: Callable[..., str]) -> None:
    config = json.loads(kubectl("config", "view", "--raw", "-o", "json"))
    (entry,) = config["clusters"]
    assert "insecure-skip-tls-verify" not in entry["cluster"]
    url = f"{entry['cluster']['server']}/api/v1/secrets"
    with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
        urllib.request.urlopen(url, timeout=30)
    trust = ssl.create_default_context(cafile=own.node_of(cluster).etc / "pki" / "kubernetes-ca.crt")
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(url, context=trust, timeout=30)
    assert answer.value.code == 403
    answer.value.close()


def test_the_ingress_controller_may_not_write_secrets(kubectl: Callable[..., str]) -> None:
    may = ("auth", "can-i", "--as=system:serviceaccount:traefik:traefik", "--all-namespaces")
    assert kubectl(*may, "list", "secrets").strip() == "yes"
    with pytest.raises(subprocess.CalledProcessError):
        kubectl(*may, "create", "secrets")


def test_private_keys_are_readable_by_their_owner_only(cluster: State) -> None:
    keys = [
        cluster.kubeconfig,
        *own.node_of(cluster).etc.rglob("*.key"),
        *own.node_of(cluster).etc.rglob("*.kubeconfig"),
    ]
    assert len(keys) > 10
    assert {path.stat().st_mode & 0o077 for path in keys} == {0}


def test_a_dead_process_is_started_again_and_the_others_are_left_alone(cluster: State) -> None:
    processes = own.node_of(cluster).processes
    names = sorted(path.stem for path in processes.records.iterdir())
    before = {name: processes.pid(name) for name in names}
    victim = before["kube-scheduler"]
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: processes.gone("kube-scheduler"), "the scheduler to die", timeout=30)
    own.up(cluster)
    after = {name: processes.pid(name) for name in names}
    assert after["kube-scheduler"] not in (None, victim)
    assert {name for name in names if after[name] != before[name]} == {"kube-scheduler"}


def test_two_clusters_live_side_by_side_and_one_goes_without_a_trace(cluster: State, tmp_path: Path) -> None:
    other = State(tmp_path / "fairlead" / "cluster-b")
    before = _traces()
    description = own.up(other)
    assert description.ingress_url != cluster.describe().ingress_url
    assert _kubectl(description)("get", "nodes", "-o", "name") == "node/node\n"
    # Held open, so that the kernel gives its number to no other; all processes of containers are below it.
    with Path(f"/proc/{description.namespace_holder}/ns/pid").open() as namespace:
        assert len(_members(namespace.fileno())) > 5
        own.down(other)
        # They have ended; the last one is still there until its parent has collected it.
        wait_until(lambda: not _members(namespace.fileno()), "the processes to be collected", timeout=30)
    assert not list(tmp_path.iterdir())
    assert not _traces() - before
    assert not [path for path in Path("/sys/fs/cgroup").rglob(other.name) if path.is_dir()]
    assert _kubectl(cluster.describe())("get", "--raw=/readyz") == "ok"


def test_what_a_crash_left_is_cleared_away_by_the_next_start(cluster: State) -> None:
    before = cluster.describe()
    os.kill(before.namespace_holder, signal.SIGKILL)
    wait_until(lambda: own.node_of(cluster).processes.gone("init"), "the node to die", timeout=60)
    after = own.up(cluster)
    assert after.namespace_holder != before.namespace_holder
    assert after.ingress_url == before.ingress_url
    assert "Running" in _kubectl(after)("-n", "traefik", "get", "pods")


def test_a_recycled_pid_is_never_taken_for_ours(cluster: State) -> None:
    processes = own.node_of(cluster).processes
    record = processes.records / "stranger.json"
    record.write_text(json.dumps({"pid": os.getpid(), "identity": "another boot/1", "command": []}))
    assert processes.pid("stranger") is None
    processes.stop("stranger")  # would end this very test if it trusted the pid alone
    assert not record.exists()


def test_a_taken_port_is_avoided(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        state = State(tmp_path)
        chosen = state.ports(http=port)["http"]
        assert chosen != port
        assert state.ports(http=port)["http"] == chosen


def _traces() -> set[str]:
    """What a cluster could leave on a machine outside its own directory."""
    entries = {str(path) for top in _LEFT_BEHIND if Path(top).is_dir() for path in Path(top).iterdir()}
    knobs = {f"{knob}={Path('/proc/sys', knob).read_text().strip()}" for knob in _KERNEL_KNOBS}
    interfaces = {name for _, name in socket.if_nameindex()}
    mounts = {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    return entries | knobs | interfaces | mounts


def _members(namespace: int) -> list[str]:
    """Find the processes in the pid namespace behind the file descriptor."""
    number = os.fstat(namespace).st_ino
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/pid").stat().st_ino == number:
                found.append(f"{process.name} {(process / 'comm').read_text().strip()}")
        except OSError:
            continue  # it ended meanwhile
    return found
