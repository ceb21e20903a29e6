"""What is trusted of a host, and what a person's word changes about a key that did not match."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncssh
import pytest

from fairlead_operator.reconcile.host_keys import HostKeyState, announcements, fingerprint, judge, status_fields
from fairlead_operator.reconcile.host_status import announcements as host_announcements
from fairlead_operator.reconcile.jumps import Hop, NoWay, way
from fairlead_operator.reconcile.objects import Host, read_host
from fairlead_operator.reconcile.observed import SidecarView
from fairlead_operator.reconcile.transitions import by_type
from fairlead_sidecar.config import FirstUseHostKey, HostKeyRefusal, PinnedHostKeys, Target, trust_of
from fairlead_sidecar.statusz import LinkState, LinkStatus
from tests.unit.operator import states

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST_USE = {"type": "TrustOnFirstUse"}


def a_key() -> str:
    return asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()


PIN, NEW, OTHER, BASTION = (a_key() for _ in range(4))


def pinned(*keys: str) -> dict[str, Any]:
    return {"type": "Pinned", "pinned": {"publicKeys": list(keys)}}


def a_host(host_key: dict[str, Any], *, accept: str | None = None, status: dict[str, Any] | None = None) -> Host:
    annotations = {} if accept is None else {"fairlead.dev/accept-host-key": accept}
    metadata = {"name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "1", "annotations": annotations}
    auth = {"type": "Secret", "secret": {"name": "web-ssh"}}
    spec = {"address": "web.internal", "username": "deploy", "auth": auth, "hostKey": host_key}
    return read_host({"metadata": metadata, "spec": spec, "status": status or {}})


def judged(host: Host, *hops: Hop, pin: str | None = None, link: LinkStatus | None = None, **also: Any) -> HostKeyState:
    assert host.spec is not None, host.invalid
    state = judge(host, host.spec.host_key, hops, pin=pin, link=link, **also)
    if state.pin is not None:
        assert judge(host, host.spec.host_key, hops, pin=state.pin, link=link, **also) == state, "not settled"
    return state


def a_link(**changes: Any) -> LinkStatus:
    return LinkStatus(**{"state": LinkState.FAILED, "reason": "X", "message": "…", "since": NOW, **changes})


def refusal(key: str, trusted: str | tuple[str, ...], *hops: Hop, acceptance: str = "") -> HostKeyRefusal:
    """As the sidecar reports it."""
    keys = (trusted,) if isinstance(trusted, str) else trusted
    target = (Target(address="web.internal", username="deploy"), PinnedHostKeys(public_keys=keys))
    servers = [*((hop.target, hop.host_key) for hop in hops), target]
    message = f"web presented {fingerprint(key)}"
    return HostKeyRefusal(public_key=key, message=message, trust=trust_of(servers, acceptance))


def mismatch(key: str, trusted: str, *hops: Hop, acceptance: str = "", presented: str | None = None) -> LinkStatus:
    refused = refusal(key, trusted, *hops, acceptance=acceptance)
    return a_link(
        reason="HostKeyMismatch", host_key_refusal=refused, host_key_fingerprint=fingerprint(presented or key)
    )


def with_status(host: Host, state: HostKeyState) -> Host:
    return replace(host, status={**host.status, **status_fields(state)})


def test_a_fingerprint_is_the_one_that_ssh_keygen_shows() -> None:
    assert fingerprint(PIN) == asyncssh.import_public_key(PIN).get_fingerprint()
    assert fingerprint("ssh-ed25519 ???") == fingerprint("nonsense") == fingerprint("") == ""


def test_the_first_key_is_asked_for_and_then_pinned() -> None:
    host = a_host(FIRST_USE)
    assert judged(host).trust == FirstUseHostKey()
    seen = judged(host, link=a_link(reason="HostKeyNotPinned", host_key=PIN))
    assert seen.trust == PinnedHostKeys(public_keys=(PIN,))
    assert status_fields(seen) == {"pinnedHostKey": PIN}


def test_a_pin_is_not_replaced_by_what_is_seen_later() -> None:
    assert judged(a_host(FIRST_USE), pin=PIN, link=a_link(reason="HostKeyNotPinned", host_key=NEW)).pin == PIN


@pytest.mark.parametrize("reason", ["Connected", "Unreachable", "HostKeyMismatch"])
def test_nothing_is_pinned_but_what_was_asked_for(reason: str) -> None:
    assert judged(a_host(FIRST_USE), link=a_link(reason=reason, host_key=NEW)).pin is None


def test_a_mismatch_is_kept_for_the_next_pod() -> None:
    host = a_host(pinned(PIN))
    state = judged(host, link=mismatch(NEW, PIN))
    assert state.refusal == refusal(NEW, PIN)
    assert "spec.hostKey" in state.advice
    assert status_fields(state)["refusedHostKey"]["fingerprint"] == fingerprint(NEW)
    # A new pod that has said nothing yet, one that is being asked, one that has obeyed.
    later = with_status(host, state)
    assert judged(later).refusal == refusal(NEW, PIN)
    assert judged(later, link=a_link(reason="Connecting")).refusal == refusal(NEW, PIN)


def test_another_pin_in_the_spec_ends_it() -> None:
    state = judged(a_host(pinned(PIN)), link=mismatch(NEW, PIN))
    changed = a_host(pinned(NEW), status=status_fields(state))
    # Also while the sidecar still says what it said.
    assert judged(changed, link=mismatch(NEW, PIN)).refusal is None
    assert judged(changed).refusal is None


def test_a_change_of_something_else_does_not_end_it() -> None:
    state = judged(a_host(pinned(PIN)), link=mismatch(NEW, PIN))
    assert judged(with_status(a_host(pinned(PIN)), state), pin=None).refusal is not None


def test_a_person_may_accept_the_new_key_where_the_first_one_was_trusted() -> None:
    host = a_host(FIRST_USE, accept=fingerprint(NEW))
    state = judged(host, pin=PIN, link=mismatch(NEW, PIN))
    assert (state.pin, state.refusal, state.accepted) == (NEW, None, fingerprint(NEW))


def test_a_new_key_may_be_accepted_before_the_host_has_it() -> None:
    host = a_host(FIRST_USE, accept=fingerprint(NEW))
    calm = judged(host, pin=PIN, link=a_link(reason="Connected"))
    assert (calm.pin, calm.accepted) == (PIN, "")
    changed = judged(with_status(host, calm), pin=PIN, link=mismatch(NEW, PIN))
    assert (changed.pin, changed.refusal) == (NEW, None)
    other = judged(with_status(host, calm), pin=PIN, link=mismatch(OTHER, PIN))
    assert other.refusal is not None


def test_a_key_that_the_spec_does_not_hold_is_accepted_in_the_spec_only() -> None:
    state = judged(a_host(pinned(PIN), accept=fingerprint(NEW)), link=mismatch(NEW, PIN))
    assert state.refusal is not None
    assert fingerprint(NEW) in state.advice
    assert state.trust == PinnedHostKeys(public_keys=(PIN,))


@pytest.mark.parametrize("host_key", [FIRST_USE, pinned(PIN)], ids=["first use", "pinned"])
def test_a_person_may_go_on_with_the_former_key_once(host_key: dict[str, Any]) -> None:
    host = a_host(host_key, accept=fingerprint(PIN))
    pin = PIN if host_key is FIRST_USE else None
    state = judged(host, pin=pin, link=mismatch(NEW, PIN))
    assert state.refusal is None
    assert state.acceptance == fingerprint(PIN)
    again = judged(with_status(host, state), pin=pin, link=mismatch(NEW, PIN, acceptance=state.acceptance))
    assert again.refusal is not None
    assert "was acted upon before" in again.advice


@pytest.mark.parametrize(
    "value",
    [fingerprint(OTHER), "yes", "SHA256:", f"yes {fingerprint(PIN)}"],
    ids=["another", "yes", "half", "not first"],
)
def test_anything_else_is_no_decision(value: str) -> None:
    state = judged(a_host(FIRST_USE, accept=value), pin=PIN, link=mismatch(NEW, PIN))
    assert state.refusal is not None
    assert value in state.advice
    assert state.accepted == ""


def test_an_annotation_from_before_does_not_end_a_later_mismatch() -> None:
    host = a_host(FIRST_USE, accept=fingerprint(PIN))
    calm = judged(host, pin=PIN, link=a_link(reason="Connected"))
    assert calm.accepted == fingerprint(PIN)
    later = judged(with_status(host, calm), pin=PIN, link=mismatch(NEW, PIN, acceptance=calm.acceptance))
    assert later.refusal is not None


def test_an_annotation_that_is_taken_away_ends_nothing() -> None:
    accepted = {"acceptedHostKey": fingerprint(PIN)}
    state = judged(a_host(pinned(PIN), status=accepted), link=mismatch(NEW, PIN, acceptance=fingerprint(PIN)))
    assert state.refusal is not None


def test_the_same_may_be_said_again_with_the_time_behind_it() -> None:
    accepted = {"acceptedHostKey": fingerprint(PIN)}
    said = f"{fingerprint(PIN)} 2026-03-01"
    host = a_host(pinned(PIN), status=accepted, accept=said)
    state = judged(host, link=mismatch(NEW, PIN, acceptance=fingerprint(PIN)))
    assert state.refusal is None
    assert state.accepted == said


def hop(key: str = BASTION, **changes: Any) -> Hop:
    target = Target(address="bastion.internal", username="jump")
    fields: dict[str, Any] = {"target": target, "secret": "bastion-ssh", "name": "bastion"}
    return Hop(**{**fields, "host_key": PinnedHostKeys(public_keys=(key,)), **changes})


def test_the_key_of_a_jump_host_is_not_pinned_as_the_hosts_own() -> None:
    host = a_host(FIRST_USE, accept=fingerprint(NEW))
    state = judged(host, hop(), pin=PIN, link=mismatch(NEW, PIN, hop(), presented=PIN))
    assert state.pin == PIN
    assert state.refusal is not None
    assert "jump host" in state.advice


def test_what_is_decided_about_a_jump_host_counts_behind_it() -> None:
    link = mismatch(NEW, PIN, hop(), presented=PIN)
    assert judged(a_host(pinned(PIN)), hop(), link=link).refusal is not None
    assert judged(a_host(pinned(PIN)), hop(NEW), link=link).refusal is None
    assert judged(a_host(pinned(PIN)), hop(accepted=fingerprint(BASTION)), link=link).refusal is None
    assert judged(a_host(pinned(PIN), accept=fingerprint(BASTION)), hop(), link=link).refusal is None


def test_a_jump_hosts_new_key_may_be_accepted_that_only_others_have_seen() -> None:
    host = a_host(FIRST_USE, accept=fingerprint(NEW))
    assert judged(host, pin=PIN, seen_by_others=[OTHER]).pin == PIN
    assert judged(host, pin=PIN, seen_by_others=[OTHER, NEW]).pin == NEW


def test_behind_a_jump_host_whose_key_was_not_seen_yet_nothing_is_reached() -> None:
    behind = read_host(
        {
            "metadata": {"name": "db", "namespace": "shop", "uid": "2", "resourceVersion": "2"},
            "spec": {
                "address": "db.internal",
                "username": "deploy",
                "auth": {"type": "Secret", "secret": {"name": "db-ssh"}},
                "hostKey": pinned(PIN),
                "jumpHosts": [{"hostRef": {"name": "web"}}],
            },
        }
    )
    assert behind.spec is not None
    with pytest.raises(NoWay, match="was not seen yet") as failure:
        way("db", behind.spec, {"web": a_host(FIRST_USE)}.get)
    assert failure.value.reason == "JumpHostKeyNotPinned"
    seen = a_host(FIRST_USE, status={"pinnedHostKey": BASTION, "acceptedHostKey": fingerprint(BASTION)})
    (passed,) = way("db", behind.spec, {"web": seen}.get)
    assert passed.host_key == PinnedHostKeys(public_keys=(BASTION,))
    assert passed.accepted == fingerprint(BASTION)


def test_people_are_told_once_of_what_they_have_to_know() -> None:
    nothing: dict[str, Any] = {}
    first = {"pinnedHostKey": PIN}
    (told,) = announcements(nothing, first)
    assert (told.type, told.reason) == ("Normal", "HostKeyPinned")
    assert fingerprint(PIN) in told.message
    refused = first | status_fields(judged(a_host(FIRST_USE), pin=PIN, link=mismatch(NEW, PIN)))
    (told,) = announcements(first, refused)
    assert (told.type, told.reason) == ("Warning", "HostKeyMismatch")
    assert announcements(refused, refused) == []
    accepted = {"pinnedHostKey": NEW, "acceptedHostKey": fingerprint(NEW)}
    (told,) = announcements(refused, accepted)
    assert (told.type, told.reason) == ("Normal", "HostKeyAccepted")
    assert announcements(accepted, accepted) == []
    # An annotation that only repeats the pin is no decision.
    assert announcements(first, first | {"acceptedHostKey": fingerprint(PIN)}) == []


def test_while_a_first_key_is_being_pinned_nobody_is_alarmed() -> None:
    status = states.observe(states.host(), states.failed("HostKeyNotPinned", "the first one seen"))
    assert states.condition(status, "HostKeyTrusted") == ("Unknown", "HostKeyNotPinned")
    assert states.condition(status, "Connected") == ("Unknown", "HostKeyNotPinned")
    assert states.condition(status, "Ready") == ("False", "HostKeyNotPinned")
    assert host_announcements({}, status) == []


@pytest.mark.parametrize("view", [states.WORKING, SidecarView(), states.failed("Unreachable")])
def test_a_refusal_is_what_the_conditions_say_whatever_the_pod_says(view: SidecarView) -> None:
    state = judged(a_host(pinned(PIN)), link=mismatch(NEW, PIN))
    status = states.observe(states.host(), view, host_key=state)
    for kind in ("HostKeyTrusted", "Connected", "Ready"):
        assert states.condition(status, kind) == ("False", "HostKeyMismatch")
        message = by_type(status)[kind]["message"]
        assert fingerprint(NEW) in message
        assert "fairlead.dev/accept-host-key" in message
    (told,) = [some for some in host_announcements({}, status) if some.reason == "HostKeyMismatch"]
    assert told.type == "Warning"
