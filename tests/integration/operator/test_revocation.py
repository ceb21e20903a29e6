"""A revocation arrives whatever else is wrong with the host."""

import json
from typing import Any

from tests.integration.operator.manifests import host, secret, token
from tests.integration.operator.running import Cluster, RunningOperator, until

REVOCATION = 2.0
LARGE_PATTERN = r"\pL{1000}"
"""Go's regexp, and so admission, takes it; RE2 does not."""


def _settle(cluster: Cluster, *tokens: str) -> None:
    cluster.plane.apply(
        secret(cluster.namespace, "web-01-ssh", password="x"),
        host(cluster.namespace),
        *(token(cluster.namespace, name=name) for name in tokens),
    )
    until(lambda: len(cluster.tokens()) == len(tokens), "the host knows the tokens")
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment exists")


def _patch(cluster: Cluster, kind: str, name: str, patch: dict[str, Any]) -> None:
    cluster.plane.kubectl("-n", cluster.namespace, "patch", kind, name, "--type=merge", "-p", json.dumps(patch))


def _message(cluster: Cluster) -> str:
    conditions = cluster.found("remotehost", "web-01")["status"]["conditions"]
    return next(str(condition["message"]) for condition in conditions if condition["type"] == "Ready")


def test_a_revocation_arrives_although_the_generated_key_has_a_name_conflict(
    cluster: Cluster, operator: RunningOperator
) -> None:
    _settle(cluster, "agent", "other")
    cluster.plane.apply(secret(cluster.namespace, "rh-web-01.key", mine="x"))
    _patch(cluster, "remotehost", "web-01", {"spec": {"auth": {"type": "Generated", "secret": None}}})
    until(lambda: cluster.reason("remotehost", "web-01") == "NameConflict", "the conflict is reported")
    before = cluster.configuration() or {}
    cluster.delete("mcptoken", "agent")
    until(lambda: len(cluster.tokens()) == 1, "the token is revoked", seconds=REVOCATION)
    assert (cluster.configuration() or {})["auth"] == before["auth"]
    assert cluster.get("deployment", "rh-web-01")


def test_a_pattern_that_only_admission_takes_is_named_and_holds_up_no_revocation(
    cluster: Cluster, operator: RunningOperator
) -> None:
    _settle(cluster, "agent", "other")
    _patch(cluster, "remotehost", "web-01", {"spec": {"policy": {"commands": {"deny": [LARGE_PATTERN]}}}})
    until(lambda: cluster.reason("remotehost", "web-01") == "InvalidSpec", "the pattern is refused")
    assert "spec.policy.commands.deny[0]" in _message(cluster)
    assert "pL{1000}" in _message(cluster)
    cluster.delete("mcptoken", "agent")
    until(lambda: len(cluster.tokens()) == 1, "the token is revoked", seconds=REVOCATION)
    assert (cluster.configuration() or {})["policy"]["commands"]["deny"] == []
    _patch(cluster, "remotehost", "web-01", {"spec": {"suspended": True}})
    until(lambda: not cluster.get("deployment", "rh-web-01"), "it can still be suspended")
    _patch(cluster, "remotehost", "web-01", {"spec": {"suspended": False, "policy": None}})
    until(lambda: cluster.reason("remotehost", "web-01") == "PodNotReady", "the host goes on")
    until(lambda: cluster.get("deployment", "rh-web-01"), "the Deployment is back")


def test_where_a_revocation_cannot_be_written_the_pod_is_stopped(cluster: Cluster, operator: RunningOperator) -> None:
    _settle(cluster, "agent", "other")
    _patch(cluster, "secret", "rh-web-01", {"immutable": True})
    cluster.plane.apply(token(cluster.namespace, name="new"))
    until(lambda: cluster.reason("remotehost", "web-01") == "ApplyFailed", "the refusal is reported")
    assert cluster.get("deployment", "rh-web-01"), "a token that can't be added is no reason to stop the pod"
    cluster.delete("mcptoken", "agent")
    until(lambda: not cluster.get("deployment", "rh-web-01"), "the pod is stopped", seconds=REVOCATION)
    until(lambda: "it is stopped" in _message(cluster), "the host says why")
    assert cluster.reason("remotehost", "web-01") == "ApplyFailed"
    assert cluster.condition("remotehost", "web-01", "Connected") == ("False", "ApplyFailed")
    cluster.delete("secret", "rh-web-01")
    until(lambda: len(cluster.tokens()) == 2, "the configuration is written anew")
    until(lambda: cluster.get("deployment", "rh-web-01"), "the pod may start again")


def test_a_token_that_cannot_be_minted_holds_up_no_other(cluster: Cluster, operator: RunningOperator) -> None:
    _settle(cluster, "agent", "other")
    broken = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": cluster.namespace},
        "webhooks": [
            {
                "name": "broken.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["secrets"]}
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
            }
        ],
    }
    cluster.plane.apply(broken)
    try:
        cluster.plane.apply(token(cluster.namespace, name="stuck"))
        until(lambda: "working on McpToken" in operator.log.read_text(), "minting fails")
        assert not cluster.get("secret", "mcpt-stuck")
        cluster.delete("mcptoken", "agent")
        until(lambda: len(cluster.tokens()) == 1, "the other is revoked", seconds=REVOCATION)
    finally:
        cluster.plane.kubectl("delete", "validatingwebhookconfiguration", cluster.namespace)
    until(lambda: len(cluster.tokens()) == 2, "the new token works once it can be kept")
