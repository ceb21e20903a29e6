"""Whose word counts about a pod: the host's, the default, the built-in one; never over what is Fairlead's own."""

import pytest
from pydantic import ValidationError

from fairlead_api.resources import Sidecar
from fairlead_operator.reconcile.placement import drain_timeout, placed, pod_fields, pod_metadata
from fairlead_operator.settings import Settings, SettingsError

NOTHING = Sidecar()
ENVIRONMENT = {"FAIRLEAD_NAMESPACE": "fairlead-system", "FAIRLEAD_SIDECAR_IMAGE": "sidecar:1"}


def sidecar(**fields: object) -> Sidecar:
    return Sidecar.model_validate(fields)


def test_where_nobody_says_anything_the_pod_gets_little_and_ends_within_half_a_minute() -> None:
    chosen = placed(NOTHING, NOTHING)
    assert chosen.resources is not None
    assert chosen.resources.to_manifest() == {
        "requests": {"cpu": "10m", "memory": "64Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    }
    assert pod_fields(chosen)["terminationGracePeriodSeconds"] == 30
    assert drain_timeout(chosen) == 20


def test_a_host_replaces_a_default_field_by_field_and_adds_to_labels_key_by_key() -> None:
    defaults = sidecar(nodeSelector={"role": "general"}, priorityClassName="fleet", labels={"a": "1", "b": "1"})
    chosen = placed(sidecar(nodeSelector={"zone": "a"}, labels={"b": "2"}), defaults)
    fields = pod_fields(chosen)
    assert (fields["nodeSelector"], fields["priorityClassName"]) == ({"zone": "a"}, "fleet")
    assert pod_metadata(chosen, {})["labels"] == {"a": "1", "b": "2"}


def test_labels_and_annotations_of_fairleads_own_stay() -> None:
    chosen = sidecar(labels={"fairlead.dev/host": "other"}, annotations={"fairlead.dev/synced-for": "x"})
    assert pod_metadata(chosen, {"fairlead.dev/host": "web-01"}) == {"labels": {"fairlead.dev/host": "web-01"}}


def test_a_node_that_is_gone_is_left_soon_unless_the_host_says_otherwise() -> None:
    (not_ready, own) = pod_fields(
        placed(sidecar(tolerations=[{"key": "node.kubernetes.io/unreachable", "operator": "Exists"}]), NOTHING)
    )["tolerations"]
    assert (not_ready["key"], not_ready["tolerationSeconds"]) == ("node.kubernetes.io/not-ready", 30)
    assert own == {"key": "node.kubernetes.io/unreachable", "operator": "Exists"}


def test_the_operators_defaults_come_as_json() -> None:
    given = Settings.from_environment(ENVIRONMENT | {"FAIRLEAD_SIDECAR_DEFAULTS": '{"nodeSelector": {"role": "x"}}'})
    assert given.sidecar_defaults.node_selector == {"role": "x"}


@pytest.mark.parametrize("text", ['{"nodeSelektor": {}}', "[", '{"terminationGracePeriodSeconds": 5}'])
def test_defaults_that_no_host_could_write_are_refused_at_start_up(text: str) -> None:
    with pytest.raises(SettingsError, match="FAIRLEAD_SIDECAR_DEFAULTS"):
        Settings.from_environment(ENVIRONMENT | {"FAIRLEAD_SIDECAR_DEFAULTS": text})


def test_less_time_than_killing_takes_is_refused() -> None:
    with pytest.raises(ValidationError):
        sidecar(terminationGracePeriodSeconds=14)
