import base64
from collections.abc import Callable

from tests.integration.operator.manifests import host, secret, token
from tests.integration.operator.running import Cluster, RunningOperator, until


def _text(cluster: Cluster, name: str = "mcpt-agent") -> str:
    found = cluster.get("secret", name)
    return base64.b64decode(found["data"]["token"]).decode() if found else ""


def test_deleting_a_token_takes_its_hash_from_every_host(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), host(cluster.namespace, name="web-02"), token(cluster.namespace))
    until(lambda: cluster.tokens() and cluster.tokens("web-02"), "both hosts know the token")
    cluster.delete("mcptoken", "agent")
    until(lambda: not cluster.tokens() and not cluster.tokens("web-02"), "no host knows the token", seconds=2)


def test_a_token_secret_deleted_by_hand_is_replaced_by_a_new_token(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(cluster.tokens, "the host knows the token")
    before, ids = _text(cluster), cluster.tokens()
    cluster.delete("secret", "mcpt-agent")
    until(lambda: _text(cluster) not in {"", before}, "a new token is minted")
    until(lambda: cluster.tokens() not in ([], ids), "the host knows the new one")


def test_a_token_created_anew_under_its_old_name_is_another_token(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(cluster.tokens, "the host knows the token")
    ids = cluster.tokens()
    cluster.delete("mcptoken", "agent")
    cluster.plane.apply(token(cluster.namespace))
    until(lambda: cluster.tokens() and cluster.tokens() != ids, "the host knows the new token only")


def test_suspending_a_token_revokes_it_and_resuming_brings_the_same_one_back(
    cluster: Cluster, operator: RunningOperator
) -> None:
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace))
    until(cluster.tokens, "the host knows the token")
    ids = cluster.tokens()
    cluster.plane.apply(token(cluster.namespace, suspended=True))
    until(lambda: not cluster.tokens(), "the host no longer knows it")
    until(lambda: cluster.reason("mcptoken", "agent") == "Suspended", "the status says why")
    cluster.plane.apply(token(cluster.namespace, suspended=False))
    until(lambda: cluster.tokens() == ids, "the host knows it again")


def test_an_expired_token_says_so(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(token(cluster.namespace, ttl="1s"))
    until(lambda: cluster.reason("mcptoken", "agent") == "Expired", "the token expired")


def test_a_foreign_secret_is_not_overwritten(cluster: Cluster, operator: RunningOperator) -> None:
    cluster.plane.apply(secret(cluster.namespace, "precious", data="x"))
    cluster.plane.apply(token(cluster.namespace, secretName="precious"))
    until(lambda: cluster.reason("mcptoken", "agent") == "NameConflict", "the conflict is reported")
    assert set(cluster.found("secret", "precious")["data"]) == {"data"}


def test_a_restored_secret_without_owner_is_adopted_with_its_token(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    cluster.plane.apply(token(cluster.namespace))
    until(lambda: _text(cluster), "the Secret exists")
    text, saved = _text(cluster), cluster.found("secret", "mcpt-agent")
    operator.stop()
    cluster.plane.kubectl("-n", cluster.namespace, "delete", "secret", "mcpt-agent")
    saved["metadata"] = {key: saved["metadata"][key] for key in ("name", "namespace", "labels")}
    cluster.plane.apply(saved)
    start_operator().until_working()
    until(lambda: "ownerReferences" in cluster.found("secret", "mcpt-agent")["metadata"], "the Secret is adopted")
    assert _text(cluster) == text


def test_a_label_that_makes_a_host_match_gives_it_the_token(cluster: Cluster, operator: RunningOperator) -> None:
    selector = {"selector": {"matchLabels": {"role": "web"}}}
    cluster.plane.apply(host(cluster.namespace), token(cluster.namespace, hosts=selector))
    until(lambda: cluster.reason("mcptoken", "agent") == "NoHosts", "no host matches")
    cluster.plane.kubectl("-n", cluster.namespace, "label", "remotehost", "web-01", "role=web")
    until(cluster.tokens, "the host knows the token")
    cluster.plane.kubectl("-n", cluster.namespace, "label", "remotehost", "web-01", "role-")
    until(lambda: not cluster.tokens(), "the host no longer knows it")
