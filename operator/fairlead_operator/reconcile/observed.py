"""What was found out about a host, from which its conditions follow."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.host_credentials import HostCredentials
from fairlead_operator.reconcile.host_keys import HostKeyState
from fairlead_operator.reconcile.mounts import Mounted
from fairlead_operator.reconcile.objects import Key
from fairlead_sidecar.statusz import Statusz

GRACE = timedelta(seconds=5)
"""How long a pod may be silent, or a configuration on its way, before what worked no longer counts as working."""


@dataclass(frozen=True)
class Handshake:
    """The outcome of an MCP handshake through the Service."""

    ok: bool
    message: str
    """What went wrong; empty when nothing did."""
    tool_count: int = 0


REACHED = frozenset({HostReason.EXPOSED, HostReason.INSECURE_HTTP})
"""The reasons for which the public URL counts as leading to the host."""


@dataclass(frozen=True)
class Exposure:
    """What answered at the public URL."""

    reason: HostReason
    message: str


@dataclass(frozen=True)
class SidecarView:
    """What the host's sidecar says, and whether it says anything."""

    statusz: Statusz | None = None
    """Its last answer; None: it never answered since it is being asked."""
    silent_since: datetime | None = None
    """Since when it does not answer; None: it does, or was not asked yet."""
    outdated_since: datetime | None = None
    """Since when the configuration in force is another than the one for the object's current generation."""
    handshake: Handshake | None = None
    """None: not tried since the sidecar's last start."""
    exposure: Exposure | None = None
    pod_problem: str = ""
    """What keeps the pod from running, as far as the cluster says so."""

    @property
    def answering(self) -> bool:
        """Whether the last question was answered."""
        return self.statusz is not None and self.silent_since is None


@dataclass(frozen=True)
class Obstacle:
    """Why a host's children can't be brought to where they should be."""

    reason: HostReason
    message: str
    retry: float | None = None
    """After how many seconds another attempt may help; None: when something changes."""
    closed: bool = False
    """Whether the pod was stopped, because it could not be told that a token is no longer good."""


@dataclass(frozen=True)
class HostObservation:
    """All that a host's conditions depend on, besides the object itself."""

    now: datetime
    view: SidecarView
    secret_exists: bool
    """Whether the Secret with the SSH credentials exists."""
    missing_secrets: tuple[Mounted, ...] = ()
    """Further Secrets that the pod mounts and that don't exist."""
    credentials: HostCredentials | None = None
    """What the operator made for the login; None: the Secret is the user's, or nothing could be made."""
    host_key: HostKeyState | None = None
    """None: it could not be found out."""
    obstacle: Obstacle | None = None
    """None: the children are as they should be."""
    endpoint_winner: Key | None = None
    """The host that has the endpoint, or a part of it, which this one wants."""
    route_problem: Exposure | None = None
    """What keeps its HTTPRoute from being served."""
