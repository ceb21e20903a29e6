"""What a RemoteHost says about commands, in the sidecar's words."""

from collections.abc import Iterable

from fairlead_api.environment import Environment
from fairlead_api.host_policy import Limits, Policy
from fairlead_api.host_policy import ToolGroup as ApiToolGroup
from fairlead_api.plain import plain
from fairlead_operator.reconcile.mounts import secret_value
from fairlead_sidecar import config as sidecar


def environment(environment: Environment) -> sidecar.Environment:
    """Where commands start and what they find."""
    return sidecar.Environment.model_validate(plain(environment, secret_value))


def policy(policy: Policy | None) -> sidecar.Policy:
    """What may be done on the host; None: whatever the account may do."""
    return sidecar.Policy.model_validate(plain(policy, secret_value)) if policy is not None else sidecar.Policy()


def limits(limits: Limits) -> sidecar.Limits:
    """Bounds of one call."""
    return sidecar.Limits.model_validate(plain(limits, secret_value))


def groups(groups: Iterable[ApiToolGroup] | None) -> frozenset[sidecar.ToolGroup]:
    """The groups that are offered; None: all."""
    if groups is None:
        return frozenset(sidecar.ToolGroup)
    # Tools about the connection are always there, so there is no such group to name.
    return frozenset(sidecar.ToolGroup(group.value) for group in groups if group is not ApiToolGroup.CONNECTION)
