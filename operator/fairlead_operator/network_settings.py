"""What the operator is told about NetworkPolicies."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from fairlead_operator.setting_values import load_json

Peer = dict[str, Any]
"""A NetworkPolicyPeer of `networking.k8s.io/v1`; the API server judges it."""


class NetworkPolicies(BaseModel):
    """Whether hosts' pods get a NetworkPolicy, and who may come in."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="forbid")

    enabled: bool = False
    operator_labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the operator's pods, which are in the operator's own namespace."""
    ingress_from: tuple[Peer, ...] = ()
    """Who may use the endpoints: the Ingress controller; empty: everybody."""
    metrics_from: tuple[Peer, ...] = ()
    """Who may read metrics, besides the operator."""


class NetworkSettings(BaseModel):
    """The part of the settings that is about NetworkPolicies."""

    network_policy: Annotated[NetworkPolicies, BeforeValidator(load_json)] = NetworkPolicies()
    """JSON of `NetworkPolicies`, in camelCase."""
