import base64
import json

from tests.integration.operator.manifests import host, token
from tests.integration.operator.running import Cluster, RunningOperator, until


def test_a_host_gets_its_deployment_service_ingress_and_configuration(
    cluster: Cluster, operator: RunningOperator
) -> None:
    cluster.plane.apply(host(cluster.namespace))
    for kind in ("deployment", "service", "ingress", "secret"):
        until(lambda kind=kind: cluster.get(kind, "rh-web-01"), f"the {kind} exists")
    uid = (cluster.get("remotehost", "web-01") or {})["metadata"]["uid"]
    for kind in ("deployment", "service", "ingress", "secret"):
        child = cluster.get(kind, "rh-web-01") or {}
        assert [owner["uid"] for owner in child["metadata"]["ownerReferences"]] == [uid]


def test_a_token_gets_a_secret_and_its_hosts_get_the_hash(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(lambda: cluster.get("secret", "mcpt-agent"), "the token's Secret exists")
    until(lambda: _configuration(cluster)["tokens"], "the configuration knows the token")
    (grant,) = _configuration(cluster)["tokens"]
    text = base64.b64decode((cluster.get("secret", "mcpt-agent") or {})["data"]["token"]).decode()
    assert text.startswith(f"flt_{grant['id']}_")
    assert text not in json.dumps(_configuration(cluster))
    assert grant["permissions"] == ["Execute", "View"]


def _configuration(cluster: Cluster, name: str = "rh-web-01") -> dict:
    found = cluster.get("secret", name)
    return json.loads(base64.b64decode(found["data"]["config.json"])) if found else {"tokens": []}
