"""From what was observed to a RemoteHost's conditions."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fairlead_api.conditions import HostCondition, HostReason
from fairlead_api.host_keys import HostKeyType
from fairlead_api.meta import ConditionStatus
from fairlead_api.remotehost import RemoteHostSpec
from fairlead_operator.reconcile.endpoint import Endpoint
from fairlead_operator.reconcile.host_credentials import made_finding
from fairlead_operator.reconcile.mcp_server_status import passing_since
from fairlead_operator.reconcile.mounts import needed_by_every_call
from fairlead_operator.reconcile.objects import Host, Key
from fairlead_operator.reconcile.observed import GRACE, REACHED, HostObservation, Obstacle, SidecarView
from fairlead_operator.reconcile.transitions import Finding, by_type, false, true, unknown
from fairlead_sidecar.statusz import LinkState, LinkStatus, Statusz

Findings = dict[str, Finding | None]
"""None: what was found before is kept."""

_TRANSIENT = frozenset(
    {HostReason.SUSPENDED, HostReason.INVALID_SPEC, HostReason.NAME_CONFLICT, HostReason.APPLY_FAILED}
)
"""Reasons that say nothing about the host itself, so that there is nothing to keep when they end."""
_CREDENTIAL_REASONS = frozenset({HostReason.SECRET_NOT_FOUND, HostReason.CREDENTIALS_INVALID})
_KEY_SEEN_REASONS = frozenset({HostReason.AUTHENTICATION_FAILED})


_ANSWERS = REACHED | {HostReason.ENDPOINT_UNREACHABLE, HostReason.ENDPOINT_MISROUTED}
"""What asking the public URL can give."""
_SOMEBODY = "A RemoteHost of another namespace"
_GATEWAY_API_EVERY = 10.0
"""Seconds between two looks whether the Gateway API is there by now."""


@dataclass(frozen=True)
class _Case:
    key: Key
    spec: RemoteHostSpec
    endpoint: Endpoint
    seen: HostObservation
    previous: Mapping[str, Mapping[str, Any]]

    def keep_or(self, kind: HostCondition, finding: Finding) -> Finding | None:
        """What was found before, if it was about the host at all; else this."""
        before = self.previous.get(kind)
        return None if before is not None and before.get("reason") not in _TRANSIENT else finding

    def holds(self, kind: HostCondition) -> bool:
        """Whether the condition was True up to now."""
        return self.previous.get(kind, {}).get("status") == ConditionStatus.TRUE


def unreadable(message: str) -> Obstacle:
    """The object can't be read: whatever runs, runs on, with the tokens of today."""
    text = f"The operator can't read this object: {message}. Mend it, or upgrade the operator if the CRDs are newer."
    return Obstacle(HostReason.INVALID_SPEC, text)


def hindered(obstacle: Obstacle) -> Findings:
    """What holds while something is in the way; whatever is not about that is kept."""
    findings: Findings = dict.fromkeys(HostCondition)
    findings[HostCondition.READY] = false(obstacle.reason, obstacle.message)
    if obstacle.closed:
        findings[HostCondition.CONNECTED] = false(obstacle.reason, obstacle.message)
    return findings


def host_findings(host: Host, spec: RemoteHostSpec, endpoint: Endpoint, seen: HostObservation) -> Findings:
    """What holds for a host now, in the order in which conditions are listed."""
    case = _Case(host.key, spec, endpoint, seen, by_type(host.status))
    if spec.suspended:
        return _suspended(case)
    if seen.obstacle is not None:
        return hindered(seen.obstacle) | {HostCondition.EXPOSED: _not_given(case)}
    connected = _connected(case)
    return {
        HostCondition.CREDENTIALS_READY: _credentials(case),
        HostCondition.HOST_KEY_TRUSTED: _host_key(case),
        HostCondition.CONNECTED: connected,
        HostCondition.EXPOSED: _exposed(case),
        HostCondition.READY: _ready(case, connected),
    }


def recheck_in(seen: HostObservation) -> float | None:
    """After how many seconds time alone may change the findings; None: never."""
    pending = [moment for moment in (seen.view.silent_since, seen.view.outdated_since) if moment is not None]
    link = seen.view.statusz.link if seen.view.statusz else None
    if link is not None and link.state is LinkState.CONNECTING:
        pending.append(link.since)
    pending += passing_since(seen)
    waits = [(moment + GRACE - seen.now).total_seconds() + 0.05 for moment in pending]
    if seen.route_problem is not None and seen.route_problem.reason is HostReason.GATEWAY_API_NOT_INSTALLED:
        waits.append(_GATEWAY_API_EVERY)
    return min((wait for wait in waits if wait > 0.05), default=None)


def _suspended(case: _Case) -> Findings:
    message = "spec.suspended is true: there is no pod and no connection. Set it to false to go on."
    off = false(HostReason.SUSPENDED, message)
    return {
        HostCondition.CREDENTIALS_READY: _secret_findings(case),
        HostCondition.HOST_KEY_TRUSTED: unknown(HostReason.SUSPENDED, message),
        HostCondition.CONNECTED: off,
        HostCondition.EXPOSED: _not_given(case) or unknown(HostReason.SUSPENDED, message),
        HostCondition.READY: off,
    }


def _secret_finding(case: _Case) -> Finding:
    secret = case.spec.auth.secret
    if secret is None:
        return made_finding(case.spec, case.seen.credentials)
    if not case.seen.secret_exists:
        return false(
            HostReason.SECRET_NOT_FOUND,
            f"The Secret {secret.name!r} does not exist in this namespace: create it with the key"
            " ssh-privatekey (and passphrase where needed) or password.",
        )
    return true(HostReason.CREDENTIALS_FOUND, f"The Secret {secret.name!r} exists.")


def _secret_findings(case: _Case) -> Finding:
    """What can be said of all Secrets that the pod mounts without looking into them."""
    finding = _secret_finding(case)
    if finding.status is not ConditionStatus.TRUE or not case.seen.missing_secrets:
        return finding
    missing = ", ".join(f"{some.name!r} ({some.use})" for some in case.seen.missing_secrets)
    return false(
        HostReason.SECRET_NOT_FOUND,
        f"Missing Secrets in this namespace: {missing}. Create them, or correct what names them.",
    )


def _statusz(case: _Case) -> Statusz | None:
    """What the sidecar says, if it is about the object as it is now."""
    view = case.seen.view
    return view.statusz if view.answering and view.outdated_since is None else None


def _link(case: _Case) -> LinkStatus | None:
    """The link's status, if it is about the object as it is now."""
    statusz = _statusz(case)
    return statusz.link if statusz is not None else None


def _credentials(case: _Case) -> Finding | None:
    finding = _secret_findings(case)
    statusz = _statusz(case)
    if finding.status is not ConditionStatus.TRUE:
        return finding
    if statusz is None:
        before = case.previous.get(HostCondition.CREDENTIALS_READY, {})
        # Only the sidecar can tell whether what exists is usable: while it is silent, its last word counts.
        return None if before.get("reason") == HostReason.CREDENTIALS_INVALID else finding
    if statusz.link.reason in _CREDENTIAL_REASONS:
        return false(statusz.link.reason, statusz.link.message)
    if statusz.missing_values:
        missing = ", ".join(statusz.missing_values)
        return false(
            HostReason.SECRET_NOT_FOUND,
            f"Missing keys of Secrets, written as <secret>/<key>: {missing}. Add them to the Secrets, or mend the"
            " references in spec.environment, spec.policy and spec.mcpServers.",
        )
    return finding


def _lacking(case: _Case) -> Finding | None:
    """That no call can do anything for lack of values, if so."""
    statusz = _statusz(case)
    lacking = needed_by_every_call(case.spec).intersection(statusz.missing_values if statusz is not None else ())
    if not lacking:
        return None
    return false(
        HostReason.SECRET_NOT_FOUND,
        "Agents are refused for lack of values that spec.environment or spec.policy.redact names. Missing, written as"
        f" <secret>/<key>: {', '.join(sorted(lacking))}. Add them to the Secrets, or mend the references.",
    )


def _host_key(case: _Case) -> Finding | None:
    not_seen = unknown(HostReason.HOST_KEY_NOT_SEEN, "No connection got far enough yet to see the host's key.")
    if (refused := _refused(case)) is not None:
        return refused
    link = _link(case)
    if link is None:
        return case.keep_or(HostCondition.HOST_KEY_TRUSTED, not_seen)
    if link.reason == HostReason.HOST_KEY_NOT_PINNED:
        return unknown(HostReason.HOST_KEY_NOT_PINNED, link.message)
    if link.reason == HostReason.HOST_KEY_MISMATCH:
        return false(HostReason.HOST_KEY_MISMATCH, link.message)
    # A jump host may have refused the login: then the host itself has shown nothing.
    login_refused = link.reason in _KEY_SEEN_REASONS and link.host_key_fingerprint is not None
    if link.state is LinkState.CONNECTED or login_refused:
        shown = link.host_key_fingerprint or "a key"
        return true(HostReason.HOST_KEY_MATCHES, f"The host presented {shown}, which {_trusted_by(case)}.")
    return case.keep_or(HostCondition.HOST_KEY_TRUSTED, not_seen)


def _trusted_by(case: _Case) -> str:
    first_use = case.spec.host_key.type is HostKeyType.TRUST_ON_FIRST_USE
    return "was pinned when the host was seen first" if first_use else "spec.hostKey trusts"


def _refused(case: _Case) -> Finding | None:
    """That nothing is connected because of a host key, if so."""
    state = case.seen.host_key
    if state is None or state.refusal is None:
        return None
    return false(HostReason.HOST_KEY_MISMATCH, f"{state.refusal.message} {state.advice}")


def _connected(case: _Case) -> Finding | None:
    if (refused := _refused(case)) is not None:
        return refused
    link = _link(case)
    if link is not None:
        return _link_finding(case, link)
    finding = _silence(case.seen.view)
    if _within_grace(case, HostCondition.CONNECTED):
        return case.keep_or(HostCondition.CONNECTED, finding)
    return finding


def _link_finding(case: _Case, link: LinkStatus) -> Finding | None:
    spec = case.spec
    known = link.reason in set(HostReason)
    if link.state is LinkState.CONNECTED:
        if known and link.reason != HostReason.CONNECTED:
            # What works goes on, but the newest credentials would not log in.
            return true(link.reason, link.message)
        return true(HostReason.CONNECTED, f"Logged in as {spec.username} at {spec.address} port {spec.port}.")
    if link.reason == HostReason.HOST_KEY_NOT_PINNED:
        return unknown(HostReason.HOST_KEY_NOT_PINNED, link.message)
    if link.state is LinkState.CONNECTING:
        trying = unknown(HostReason.CONNECTING, link.message)
        lost = case.holds(HostCondition.CONNECTED) and case.seen.now - link.since >= GRACE
        return trying if lost else case.keep_or(HostCondition.CONNECTED, trying)
    if link.reason == HostReason.SECRET_NOT_FOUND and (own := _secret_finding(case)).status is not ConditionStatus.TRUE:
        return false(own.reason, own.message)
    return false(link.reason if known else HostReason.INTERNAL_ERROR, link.message)


def _silence(view: SidecarView) -> Finding:
    """Why the link can't be judged."""
    if view.answering and view.statusz is not None:
        refused = view.statusz.config_error
        return unknown(
            HostReason.CONFIGURATION_PENDING,
            f"The pod refused the newest configuration: {refused}."
            if refused
            else "The pod has not loaded the newest configuration yet.",
        )
    return unknown(HostReason.POD_NOT_READY, view.pod_problem or "The pod that holds the connection is starting.")


def _within_grace(case: _Case, kind: HostCondition) -> bool:
    """Whether what was found before still counts although nothing confirms it at the moment."""
    view = case.seen.view
    since = view.silent_since or view.outdated_since
    if since is None:
        return True
    # A condition that does not hold has nothing to lose: the newest reason is worth more than the older one.
    return case.holds(kind) and case.seen.now - since < GRACE


def _not_given(case: _Case) -> Finding | None:
    """Why the host does not have the place that it wants, if so."""
    if case.endpoint.refusal:
        return false(case.endpoint.refusal.reason, case.endpoint.refusal.message)
    winner, route = case.seen.endpoint_winner, case.endpoint.route
    if winner is None or route is None:
        return None
    where = f"on {route.host}, or on any host name" if route.host else "on some host name"
    # Who has what in other namespaces is nobody's business here.
    who = f"The RemoteHost {winner.name}" if winner.namespace == case.key.namespace else _SOMEBODY
    return false(
        HostReason.ENDPOINT_CONFLICT,
        f"{who} already has the path {route.path} {where}, or one above or below it: give this one another path or host"
        " in spec.endpoint.",
    )


def _exposed(case: _Case) -> Finding | None:
    if (conflict := _not_given(case)) is not None:
        return conflict
    if (problem := case.seen.route_problem) is not None:
        return false(problem.reason, problem.message)
    if case.endpoint.url is None and case.endpoint.service_only:
        return false(
            HostReason.SERVICE_ONLY,
            "Only the Service was asked for: the endpoint is reached inside the cluster. Set spec.endpoint.url where"
            " something else leads to it from outside.",
        )
    if case.endpoint.url is None:
        return false(
            HostReason.NO_PUBLIC_URL,
            "Nothing says under which name the endpoint can be reached: set spec.endpoint, or the operator's default"
            " endpoint. Inside the cluster the Service answers.",
        )
    exposure = case.seen.view.exposure
    if exposure is None:
        # What an earlier answer said goes on to count; what stood in the way of asking is over.
        asked = case.previous.get(HostCondition.EXPOSED, {}).get("reason") in _ANSWERS
        return None if asked else unknown(HostReason.POD_NOT_READY, "The public URL is asked once the pod runs.")
    return (true if exposure.reason in REACHED else false)(exposure.reason, exposure.message)


def _ready(case: _Case, connected: Finding | None) -> Finding | None:
    if connected is None:
        before = case.previous.get(HostCondition.CONNECTED, {})
        if before.get("status") == ConditionStatus.TRUE:
            starting = false(HostReason.CONNECTING, "The first MCP handshake is under way.")
        else:
            starting = false(
                before.get("reason", HostReason.POD_NOT_READY), before.get("message", "The pod is starting.")
            )
        return case.keep_or(HostCondition.READY, starting)
    if connected.status is not ConditionStatus.TRUE:
        return false(connected.reason, connected.message)
    handshake = case.seen.view.handshake
    if handshake is None:
        under_way = false(HostReason.CONNECTING, "The login succeeded; the MCP handshake is under way.")
        return None if case.holds(HostCondition.READY) else under_way
    if not handshake.ok:
        return false(HostReason.HANDSHAKE_FAILED, f"The MCP handshake through the Service failed: {handshake.message}")
    if (lacking := _lacking(case)) is not None:
        return lacking
    return true(HostReason.READY, "SSH login and MCP handshake succeeded: agents can work.")
