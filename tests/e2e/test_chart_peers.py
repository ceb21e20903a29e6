"""Peers of NetworkPolicies among the chart's values: one misspelt is refused before it lets in everybody."""

from typing import Any

import pytest

from tests.cluster.state import Description
from tests.e2e.support.chart import HelmError, render

VALUES = ("ingressFrom", "metricsFrom")


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    ("peer", "sentence"),
    [
        ({"namespaceSelector": {"matchLabel": {"team": "shop"}}}, "additional properties 'matchLabel' not allowed"),
        ({"nameSpaceSelector": {}}, "additional properties 'nameSpaceSelector' not allowed"),
        ({"ipBlock": {"cidrs": ["10.0.0.0/8"]}}, "additional properties 'cidrs' not allowed"),
        ({"podSelector": {"matchLabels": {"tier": 1}}}, "got number, want string"),
        ({}, "minProperties"),
    ],
    ids=["selector", "peer", "block", "label", "empty"],
)
def test_a_misspelt_peer_is_refused_by_name(
    cluster: Description, value: str, peer: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(HelmError) as refused:
        render(cluster.helm, networkPolicy={value: [peer]})

    assert f"'/networkPolicy/{value}/0" in str(refused.value)
    assert sentence in str(refused.value)


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize(
    "peer",
    [
        {"namespaceSelector": {}},
        {"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {"matchLabels": {"c": "d"}}},
        {"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
    ],
)
def test_whatever_a_peer_may_be_is_taken(cluster: Description, value: str, peer: dict[str, Any]) -> None:
    render(cluster.helm, networkPolicy={value: [peer]})
