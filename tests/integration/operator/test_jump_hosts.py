"""Jump hosts and mounted Secrets: what changes about one reaches all whose pods need it."""

from functools import partial
from typing import Any

from tests.integration.operator.manifests import host, secret, token
from tests.integration.operator.running import Cluster, RunningOperator, until


def through(*names: str) -> list[dict[str, Any]]:
    return [{"hostRef": {"name": name}} for name in names]


def addresses(cluster: Cluster, name: str = "web-01") -> list[str]:
    return [hop["target"]["address"] for hop in (cluster.configuration(name) or {"jump_hosts": []})["jump_hosts"]]


def mounted(cluster: Cluster, volume: str, name: str = "web-01") -> list[str]:
    """The Secrets in a volume of the host's pods."""
    found = cluster.get("deployment", f"rh-{name}")
    volumes = found["spec"]["template"]["spec"]["volumes"] if found else []
    return [
        source["secret"]["name"]
        for some in volumes
        if some["name"] == volume
        for source in some["projected"]["sources"]
    ]


def version(cluster: Cluster) -> str:
    return str((cluster.configuration() or {})["credentials_version"])


def differs(cluster: Cluster, before: str) -> bool:
    return version(cluster) != before


def test_a_change_of_a_jump_host_reaches_the_hosts_behind_it(cluster: Cluster, operator: RunningOperator) -> None:
    edge = host(cluster.namespace, "edge", address="edge.old", suspended=True)
    inner = host(cluster.namespace, "inner", address="inner", jumpHosts=through("edge"))
    cluster.plane.apply(edge, inner, host(cluster.namespace, jumpHosts=through("inner")))
    until(lambda: addresses(cluster) == ["edge.old", "inner"], "the way leads through both")
    until(lambda: mounted(cluster, "jump-hosts") == ["edge-ssh", "inner-ssh"], "the pod gets both Secrets")
    edge["spec"] |= {"address": "edge.new", "auth": {"type": "Generated"}}
    cluster.plane.apply(edge)
    until(lambda: addresses(cluster) == ["edge.new", "inner"], "the new address has arrived")
    until(lambda: mounted(cluster, "jump-hosts") == ["rh-edge.key", "inner-ssh"], "the generated key is mounted")


def test_a_missing_jump_host_is_named_and_what_works_goes_on(cluster: Cluster, operator: RunningOperator) -> None:
    def reason() -> str | None:
        return cluster.reason("remotehost", "web-01")

    cluster.plane.apply(host(cluster.namespace, jumpHosts=through("gone")))
    until(lambda: reason() == "JumpHostNotFound", "the missing one is reported")
    assert not cluster.get("deployment", "rh-web-01")
    cluster.plane.apply(host(cluster.namespace, "gone", suspended=True))
    until(lambda: addresses(cluster), "the way is there")
    until(lambda: cluster.get("deployment", "rh-web-01"), "the pod is made")
    cluster.delete("remotehost", "gone")
    until(lambda: reason() == "JumpHostNotFound", "its loss is reported")
    cluster.plane.apply(token(cluster.namespace))
    until(cluster.tokens, "tokens go on to arrive")
    assert addresses(cluster) == ["web-01.internal"]
    assert mounted(cluster, "jump-hosts") == ["gone-ssh"]


def test_jump_hosts_in_a_circle_are_named_until_it_is_broken(cluster: Cluster, operator: RunningOperator) -> None:
    names = ("a", "b")
    cluster.plane.apply(host(cluster.namespace, "a", jumpHosts=through("b")))
    cluster.plane.apply(host(cluster.namespace, "b", jumpHosts=through("a")))
    until(lambda: all(cluster.reason("remotehost", name) == "JumpCycle" for name in names), "both say so")
    conditions = cluster.found("remotehost", "a")["status"]["conditions"]
    (ready,) = (some for some in conditions if some["type"] == "Ready")
    assert "a -> b -> a" in ready["message"]
    # What an applied manifest no longer has, kubectl removes.
    cluster.plane.apply(host(cluster.namespace, "b"))
    until(lambda: all(cluster.get("deployment", f"rh-{name}") for name in names), "both are served")


def test_every_mounted_secret_is_watched(cluster: Cluster, operator: RunningOperator) -> None:
    reference = {"secretKeyRef": {"name": "app", "key": "token"}}
    bastion = host(cluster.namespace, "bastion", suspended=True)
    environment = {"variables": [{"name": "TOKEN", "valueFrom": reference}]}
    cluster.plane.apply(
        bastion,
        secret(cluster.namespace, "web-01-ssh", password="x"),
        host(cluster.namespace, jumpHosts=through("bastion"), environment=environment),
    )
    until(lambda: mounted(cluster, "values") == ["app"], "the value is mounted")

    def credentials() -> tuple[str, str]:
        return cluster.condition("remotehost", "web-01", "CredentialsReady")

    until(lambda: credentials() == ("False", "SecretNotFound"), "two Secrets are missing")
    for name in ("bastion-ssh", "app"):
        before = version(cluster)
        cluster.plane.apply(secret(cluster.namespace, name, password="x", token="x"))
        until(partial(differs, cluster, before), f"the pod is told of {name}")
    until(lambda: credentials() == ("True", "CredentialsFound"), "nothing is missing any more")
