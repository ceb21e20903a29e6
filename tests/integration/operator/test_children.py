import base64
import json
from datetime import UTC, datetime, timedelta

from tests.integration.operator.manifests import host, secret, token
from tests.integration.operator.running import Cluster, RunningOperator, until

CHILDREN = ("deployment", "service", "ingress", "secret")


def test_a_host_gets_its_deployment_service_ingress_and_configuration(
    cluster: Cluster, operator: RunningOperator
) -> None:
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: all(cluster.get(kind, "rh-web-01") for kind in CHILDREN), "all children exist")
    uid = cluster.found("remotehost", "web-01")["metadata"]["uid"]
    for kind in CHILDREN:
        owners = cluster.found(kind, "rh-web-01")["metadata"]["ownerReferences"]
        assert [owner["uid"] for owner in owners] == [uid]


def test_deleting_a_host_and_a_token_removes_all_that_belongs_to_them(
    cluster: Cluster, operator: RunningOperator
) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(lambda: cluster.get("ingress", "rh-web-01") and cluster.get("secret", "mcpt-agent"), "all is there")
    cluster.delete("remotehost", "web-01")
    cluster.delete("mcptoken", "agent")
    until(lambda: not any(cluster.get(kind, "rh-web-01") for kind in CHILDREN), "the children are gone")
    until(lambda: not cluster.get("secret", "mcpt-agent"), "the token's Secret is gone")


def test_a_suspended_host_has_no_deployment_and_no_ingress(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment exists")
    until(lambda: cluster.get("ingress", "rh-web-01"), "the Ingress exists")
    cluster.plane.apply(host(cluster.namespace, suspended=True))
    until(lambda: cluster.reason("remotehost", "web-01") == "Suspended", "the host says so")
    until(lambda: not cluster.get("deployment", "rh-web-01"), "the Deployment is gone")
    until(lambda: not cluster.get("ingress", "rh-web-01"), "the Ingress is gone")
    assert cluster.get("service", "rh-web-01")
    cluster.plane.apply(host(cluster.namespace, suspended=False))
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment is back")
    until(lambda: cluster.get("ingress", "rh-web-01"), "the Ingress is back")


def test_a_child_that_somebody_changes_or_deletes_is_put_right(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: all(cluster.get(kind, "rh-web-01") for kind in CHILDREN), "all children exist")
    cluster.plane.kubectl("-n", cluster.namespace, "scale", "deployment", "rh-web-01", "--replicas=3")
    until(lambda: cluster.found("deployment", "rh-web-01")["spec"]["replicas"] == 1, "one replica again")
    cluster.delete("service", "rh-web-01")
    until(lambda: cluster.get("service", "rh-web-01"), "the Service is back")


def test_a_secret_that_appears_heals_the_host_and_changes_the_configuration(
    cluster: Cluster, operator: RunningOperator
) -> None:
    def credentials() -> tuple[str, str]:
        return cluster.condition("remotehost", "web-01", "CredentialsReady")

    cluster.plane.apply(host(cluster.namespace))
    until(lambda: credentials() == ("False", "SecretNotFound"), "the missing Secret is reported")
    before = (cluster.configuration() or {})["credentials_version"]
    cluster.plane.apply(secret(cluster.namespace, "web-01-ssh", password="x"))
    until(lambda: credentials() == ("True", "CredentialsFound"), "the Secret is found")
    until(lambda: (cluster.configuration() or {})["credentials_version"] != before, "the sidecar is told")


def test_a_generated_key_is_shown_and_survives_the_operator(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace, auth={"type": "Generated"}))

    def public_key() -> str:
        return str((cluster.found("remotehost", "web-01").get("status") or {}).get("publicKey", ""))

    until(lambda: public_key().startswith("ssh-ed25519 AAAA"), "the public key is shown")
    first = public_key()
    cluster.plane.kubectl("-n", cluster.namespace, "delete", "secret", "rh-web-01.key")
    until(lambda: public_key() != first, "a lost key is replaced by a new one")


def test_a_retained_key_outlives_its_host_and_is_used_again(cluster: Cluster, operator: RunningOperator) -> None:
    auth = {"type": "Generated", "generated": {"deletionPolicy": "Retain"}}

    def public_key() -> str:
        found = cluster.get("remotehost", "web-01") or {}
        return str((found.get("status") or {}).get("publicKey", ""))

    cluster.plane.apply(host(cluster.namespace, auth=auth))
    until(public_key, "the public key is shown")
    first = public_key()
    cluster.delete("remotehost", "web-01")
    until(lambda: not cluster.get("deployment", "rh-web-01"), "the host is gone")
    cluster.plane.apply(host(cluster.namespace, auth=auth))
    until(public_key, "the public key is shown")
    assert public_key() == first


def test_a_host_waits_for_the_end_of_its_predecessors_children(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("service", "rh-web-01"), "the Service exists")
    hold = '{"metadata": {"finalizers": ["example.com/hold"]}}'
    cluster.plane.kubectl("-n", cluster.namespace, "patch", "service", "rh-web-01", "--type=merge", "-p", hold)
    cluster.delete("remotehost", "web-01")
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.reason("remotehost", "web-01") == "ApplyFailed", "the host says what it waits for")
    release = '{"metadata": {"finalizers": null}}'
    cluster.plane.kubectl("-n", cluster.namespace, "patch", "service", "rh-web-01", "--type=merge", "-p", release)
    until(lambda: cluster.reason("remotehost", "web-01") == "PodNotReady", "the host goes on")


def test_an_object_of_a_childs_name_is_left_alone(cluster: Cluster, operator: RunningOperator) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "rh-web-01", "namespace": cluster.namespace},
        "spec": {"ports": [{"port": 80}]},
    }
    cluster.plane.apply(foreign, host(cluster.namespace), host(cluster.namespace, name="web-02"))
    until(lambda: cluster.reason("remotehost", "web-01") == "NameConflict", "the conflict is reported")
    until(lambda: cluster.get("service", "rh-web-02"), "the other host is served")
    kept = cluster.found("service", "rh-web-01")
    assert [port["port"] for port in kept["spec"]["ports"]] == [80]
    assert "ownerReferences" not in kept["metadata"]


def test_of_two_hosts_at_one_place_the_older_keeps_it(cluster: Cluster, operator: RunningOperator) -> None:
    endpoint = {"type": "Ingress", "ingress": {"path": f"/{cluster.namespace}/shared"}}
    cluster.plane.apply(host(cluster.namespace, name="a-older", endpoint=endpoint))
    until(lambda: cluster.get("ingress", "rh-a-older"), "the older host has its Ingress")
    # Creation is recorded in whole seconds: only from the next one on is the other host a younger one.
    created = datetime.fromisoformat(cluster.found("remotehost", "a-older")["metadata"]["creationTimestamp"])
    until(lambda: datetime.now(UTC) >= created + timedelta(seconds=1), "the next second")
    cluster.plane.apply(host(cluster.namespace, name="b-newer", endpoint=endpoint))
    until(
        lambda: cluster.condition("remotehost", "b-newer", "Exposed") == ("False", "EndpointConflict"),
        "the newer host says that the place is taken",
    )
    assert not cluster.get("ingress", "rh-b-newer")
    cluster.delete("remotehost", "a-older")
    until(lambda: cluster.get("ingress", "rh-b-newer"), "the place is free for the other")


def test_a_namespace_that_is_being_deleted_is_no_failure(cluster: Cluster, operator: RunningOperator) -> None:
    held = host(cluster.namespace)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.plane.apply(held, host(cluster.namespace, name="web-02"))
    pending = token(cluster.namespace)
    pending["metadata"]["finalizers"] = ["example.com/hold"]
    cluster.plane.apply(pending)
    until(lambda: cluster.reason("remotehost", "web-01") == "PodNotReady", "the host has a status")
    applied = operator.metric("fairlead_applies_total")
    cluster.plane.kubectl("delete", "namespace", cluster.namespace, "--wait=false")
    until(lambda: not cluster.get("service", "rh-web-02"), "the children go")
    until(lambda: operator.metric("fairlead_reconciles_total") and not cluster.get("secret", "rh-web-01"), "all go")
    release = '{"metadata": {"finalizers": null}}'
    for kind, name in (("remotehost", "web-01"), ("mcptoken", "agent")):
        cluster.plane.kubectl("-n", cluster.namespace, "patch", kind, name, "--type=merge", "-p", release)
    assert applied
    log = operator.log.read_text()
    assert "terminated" not in log
    assert "ApplyFailed" not in log


def test_objects_of_users_get_no_annotations_and_no_finalizers(cluster: Cluster, operator: RunningOperator) -> None:
    manifests = host(cluster.namespace), token(cluster.namespace)
    for manifest in manifests:
        cluster.plane.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    until(lambda: cluster.reason("remotehost", "web-01"), "the host has a status")
    until(lambda: cluster.reason("mcptoken", "agent"), "the token has a status")
    for kind, name in (("remotehost", "web-01"), ("mcptoken", "agent")):
        metadata = cluster.found(kind, name)["metadata"]
        assert "annotations" not in metadata
        assert "finalizers" not in metadata


def test_a_token_gets_a_secret_and_its_hosts_get_the_hash(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(cluster.tokens, "the configuration knows the token")
    configuration = cluster.configuration() or {}
    (grant,) = configuration["tokens"]
    text = base64.b64decode(cluster.found("secret", "mcpt-agent")["data"]["token"]).decode()
    assert text.startswith(f"flt_{grant['id']}_")
    assert text not in json.dumps(configuration)
    assert grant["permissions"] == ["Execute", "View"]
