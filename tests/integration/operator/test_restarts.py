from collections.abc import Callable

from tests.integration.operator.manifests import authority, certificate_auth, host, secret, token
from tests.integration.operator.running import Cluster, RunningOperator, until


def _everything(cluster: Cluster) -> None:
    cluster.plane.apply(
        secret(cluster.namespace, "web-01-ssh", password="x"),
        host(cluster.namespace),
        host(cluster.namespace, name="web-02", auth={"type": "Generated"}),
        host(cluster.namespace, name="web-03", suspended=True),
        host(cluster.namespace, name="web-04", auth=certificate_auth()),
        authority(cluster.namespace),
        token(cluster.namespace),
        token(cluster.namespace, name="other", hosts={"names": ["web-01", "nowhere"]}),
    )
    until(lambda: len(cluster.tokens()) == 2, "the host knows both tokens")


def test_a_steady_state_causes_no_writes_not_even_across_a_restart(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    _everything(cluster)
    until(
        lambda: cluster.condition("remotehost", "web-01", "Ready") == ("False", "PodNotReady"), "the host has a status"
    )
    before = cluster.settled()
    applies = operator.metric("fairlead_applies_total")
    assert cluster.settled() == before
    assert operator.metric("fairlead_applies_total") == applies
    assert operator.stop() == 0
    again = start_operator()
    again.until_working()
    until(lambda: again.metric("fairlead_reconciles_total") >= 5, "everything was looked at")
    assert cluster.settled() == before


def test_what_was_deleted_while_no_operator_ran_is_gone_after_its_start(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    _everything(cluster)
    operator.stop()
    cluster.delete("mcptoken", "agent")
    cluster.delete("remotehost", "web-02")
    until(lambda: not cluster.get("deployment", "rh-web-02"), "its children go without the operator")
    assert len(cluster.tokens()) == 2
    start_operator().until_working()
    until(lambda: len(cluster.tokens()) == 1, "the deleted token is revoked")


def test_a_restart_never_revokes_a_token_that_is_good(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    operator = start_operator()
    operator.until_working()
    _everything(cluster)
    cluster.settled()
    version = cluster.found("secret", "rh-web-01")["metadata"]["resourceVersion"]
    operator.stop()
    again = start_operator()
    again.until_working()
    until(lambda: again.metric("fairlead_reconciles_total") >= 5, "everything was looked at")
    assert cluster.found("secret", "rh-web-01")["metadata"]["resourceVersion"] == version


def test_a_standby_watches_nothing_until_the_lease_is_free(
    cluster: Cluster, start_operator: Callable[..., RunningOperator]
) -> None:
    first = start_operator()
    first.until_working()
    standby = start_operator()
    until(lambda: standby.answers("readyz"), "the standby is ready to step in")
    assert standby.metric("fairlead_leader") == 0
    assert first.stop() == 0
    standby.until_working()
    cluster.plane.apply(host(cluster.namespace))
    until(lambda: cluster.get("deployment", "rh-web-01"), "the standby has taken over")
