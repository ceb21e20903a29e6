from dataclasses import replace
from typing import Any

import pytest

from fairlead_api.conditions import HostReason
from fairlead_operator.reconcile.host_status import announcements
from fairlead_operator.reconcile.mounts import Mounted
from fairlead_operator.reconcile.objects import Key
from fairlead_operator.reconcile.observed import Handshake, Obstacle, SidecarView
from fairlead_operator.reconcile.transitions import by_type
from fairlead_sidecar.statusz import LinkState
from tests.unit.operator.states import NOW, SETTINGS, WORKING, condition, failed, host, later, link, observe, statusz


def test_ready_and_url_appear_only_after_login_and_handshake() -> None:
    starting = observe(host(), SidecarView())
    assert condition(starting, "Ready") == ("False", "PodNotReady")
    assert "url" not in starting
    logged_in = observe(host(status=starting), replace(WORKING, handshake=None))
    assert condition(logged_in, "Connected") == ("True", "Connected")
    assert condition(logged_in, "Ready")[0] == "False"
    assert "url" not in logged_in
    working = observe(host(status=logged_in), WORKING)
    assert condition(working, "Ready") == ("True", "Ready")
    assert working["url"] == "http://mcp.example.com/shop/web-01/mcp"


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("SecretNotFound", "CredentialsReady"),
        ("CredentialsInvalid", "CredentialsReady"),
        ("HostKeyMismatch", "HostKeyTrusted"),
        ("AuthenticationFailed", "Connected"),
        ("Unreachable", "Connected"),
        ("ProtocolError", "Connected"),
    ],
)
def test_a_failed_login_has_its_reason_in_its_condition_and_in_ready(reason: str, kind: str) -> None:
    status = observe(host(), failed(reason, "the very cause"))
    assert condition(status, kind) == ("False", reason)
    assert condition(status, "Ready") == ("False", reason)
    assert by_type(status)["Ready"]["message"] == "the very cause"


def test_a_missing_secret_is_named() -> None:
    status = observe(host(), failed("SecretNotFound"), secret_exists=False)
    assert "'web-01-ssh'" in by_type(status)["CredentialsReady"]["message"]
    assert "'web-01-ssh'" in by_type(status)["Ready"]["message"]


def test_missing_secrets_of_jump_hosts_and_values_are_named_while_the_host_stays_ready() -> None:
    missing = (
        Mounted("bastion-ssh", "the jump host bastion"),
        Mounted("app", "with the key token for spec.environment"),
    )
    status = observe(host(), WORKING, missing_secrets=missing)
    assert condition(status, "CredentialsReady") == ("False", "SecretNotFound")
    message = by_type(status)["CredentialsReady"]["message"]
    assert "'bastion-ssh' (the jump host bastion), 'app' (with the key token for spec.environment)" in message
    assert condition(status, "Ready") == ("True", "Ready")


def test_a_missing_key_of_a_secret_is_named_while_the_host_stays_ready() -> None:
    assert WORKING.statusz is not None
    lacking = replace(WORKING, statusz=WORKING.statusz.model_copy(update={"missing_values": ("app/token", "app/salt")}))
    status = observe(host(), lacking)
    assert condition(status, "CredentialsReady") == ("False", "SecretNotFound")
    assert "app/token, app/salt" in by_type(status)["CredentialsReady"]["message"]
    assert condition(status, "Ready") == ("True", "Ready")
    assert condition(observe(host(status=status), WORKING), "CredentialsReady") == ("True", "CredentialsFound")


@pytest.mark.parametrize(
    "spec",
    [
        {"environment": {"variables": [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "app", "key": "token"}}}]}},
        {"policy": {"redact": [{"secretKeyRef": {"name": "app", "key": "token"}}]}},
    ],
    ids=["environment", "redact"],
)
def test_a_host_that_has_to_refuse_every_call_for_lack_of_a_value_is_not_ready(spec: dict[str, Any]) -> None:
    assert WORKING.statusz is not None
    lacking = replace(WORKING, statusz=WORKING.statusz.model_copy(update={"missing_values": ("app/salt", "app/token")}))
    status = observe(host(**spec), lacking)
    assert condition(status, "Ready") == ("False", "SecretNotFound")
    message = by_type(status)["Ready"]["message"]
    assert message.endswith("written as <secret>/<key>: app/token. Add them to the Secrets, or mend the references.")
    assert condition(status, "Connected") == ("True", "Connected")
    assert condition(observe(host(**spec, status=status), WORKING), "Ready") == ("True", "Ready")


def test_the_hosts_key_is_not_trusted_on_the_word_of_a_jump_host_that_refused_the_login() -> None:
    view = failed("AuthenticationFailed")
    assert condition(observe(host(), view), "HostKeyTrusted") == ("Unknown", "HostKeyNotSeen")
    assert view.statusz is not None
    seen = view.statusz.link.model_copy(update={"host_key_fingerprint": "SHA256:abc"})
    view = replace(view, statusz=view.statusz.model_copy(update={"link": seen}))
    assert condition(observe(host(), view), "HostKeyTrusted") == ("True", "HostKeyMatches")


def test_a_restarted_operator_keeps_what_was_found_before_it_asked_anybody() -> None:
    before = observe(host(), WORKING)
    assert observe(host(status=before), SidecarView(), now=later(3600)) == before


def test_a_pod_that_is_silent_for_a_moment_stays_ready() -> None:
    before = observe(host(), WORKING)
    silent = replace(WORKING, silent_since=NOW, handshake=None)
    assert observe(host(status=before), silent, now=later(3)) == before


def test_a_pod_that_stays_silent_is_no_longer_ready_and_keeps_its_url() -> None:
    before = observe(host(), WORKING)
    silent = replace(WORKING, silent_since=NOW, handshake=None, pod_problem="The pod does not start: ImagePullBackOff")
    after = observe(host(status=before), silent, now=later(6))
    assert condition(after, "Ready") == ("False", "PodNotReady")
    assert "ImagePullBackOff" in by_type(after)["Ready"]["message"]
    assert after["url"] == before["url"]


def test_a_changed_spec_counts_once_the_pod_has_loaded_it() -> None:
    before = observe(host(), WORKING)
    changed = host(generation=2, status=before)
    pending = observe(changed, replace(WORKING, outdated_since=NOW), now=later(1))
    assert by_type(pending)["Ready"]["observedGeneration"] == 1
    stuck = observe(changed, replace(WORKING, outdated_since=NOW), now=later(6))
    assert condition(stuck, "Ready") == ("False", "ConfigurationPending")
    loaded = observe(changed, WORKING, now=later(2))
    assert by_type(loaded)["Ready"]["observedGeneration"] == 2
    assert condition(loaded, "Ready") == ("True", "Ready")


def test_a_refused_configuration_says_why() -> None:
    refused = statusz(link(LinkState.CONNECTED, "Connected"), digest="old").model_copy(
        update={"config_error": "no such field"}
    )
    status = observe(host(), replace(WORKING, statusz=refused, outdated_since=NOW), now=later(6))
    assert "no such field" in by_type(status)["Ready"]["message"]


def test_reconnecting_for_a_moment_does_not_flap() -> None:
    before = observe(host(), WORKING)
    trying = replace(WORKING, statusz=statusz(link(LinkState.CONNECTING, "Connecting")))
    assert condition(observe(host(status=before), trying, now=later(2)), "Connected") == ("True", "Connected")
    assert condition(observe(host(status=before), trying, now=later(6)), "Ready") == ("False", "Connecting")


def test_an_unreachable_host_keeps_its_reason_while_it_is_tried_again() -> None:
    before = observe(host(), failed("Unreachable"))
    trying = replace(WORKING, statusz=statusz(link(LinkState.CONNECTING, "Connecting")), handshake=None)
    assert condition(observe(host(status=before), trying, now=later(60)), "Ready") == ("False", "Unreachable")


def test_a_login_that_would_fail_is_told_while_the_former_connection_goes_on() -> None:
    before = observe(host(), WORKING)
    refused = link(LinkState.CONNECTED, "AuthenticationFailed", "The former connection goes on, but a new login failed")
    after = observe(host(status=before), replace(WORKING, statusz=statusz(refused)))
    assert condition(after, "Connected") == ("True", "AuthenticationFailed")
    assert condition(after, "Ready") == ("True", "Ready")
    assert [event.reason for event in announcements(before, after)] == ["AuthenticationFailed"]


def test_a_failed_handshake_is_not_ready() -> None:
    status = observe(host(), replace(WORKING, handshake=Handshake(ok=False, message="HTTP 500")))
    assert condition(status, "Connected")[0] == "True"
    assert condition(status, "Ready") == ("False", "HandshakeFailed")


@pytest.mark.parametrize(
    ("winner", "named"), [(Key("shop", "web-00"), True), (Key("secret-project", "secret-name"), False)]
)
def test_a_taken_endpoint_names_its_owner_in_its_own_namespace_only_and_gives_no_url_away(
    winner: Key, named: bool
) -> None:
    status = observe(host(), WORKING, endpoint_winner=winner)
    assert condition(status, "Exposed") == ("False", "EndpointConflict")
    assert condition(status, "Ready") == ("True", "Ready")
    assert "mcp.example.com" not in status["url"]
    message = by_type(status)["Exposed"]["message"]
    assert "already has the path /shop/web-01 on mcp.example.com, or on any host name" in message
    assert (winner.name in message, winner.namespace in message.replace("/shop/", "")) == (named, False)


def test_a_path_of_another_namespace_is_refused_with_the_paths_that_may_be_used() -> None:
    endpoint = {"type": "Ingress", "ingress": {"path": "/other/web-01"}}
    status = observe(host(endpoint=endpoint), WORKING)
    assert condition(status, "Exposed") == ("False", "EndpointConflict")
    assert "begins with /shop/" in by_type(status)["Exposed"]["message"]
    assert "mcp.example.com" not in status["url"]


def test_a_foreign_object_in_the_way_is_a_name_conflict() -> None:
    status = observe(host(), SidecarView(), obstacle=Obstacle(HostReason.NAME_CONFLICT, "in the way"))
    assert condition(status, "Ready") == ("False", "NameConflict")


def test_transition_time_moves_with_the_status_only() -> None:
    first = observe(host(), failed("Unreachable"))
    second = observe(host(status=first), failed("AuthenticationFailed"), now=later(60))
    assert by_type(second)["Ready"]["lastTransitionTime"] == by_type(first)["Ready"]["lastTransitionTime"]
    third = observe(host(status=second), WORKING, now=later(120))
    assert by_type(third)["Ready"]["lastTransitionTime"] == "2026-03-01T12:02:00Z"


def test_events_are_written_on_transitions_only() -> None:
    down = observe(host(), failed("Unreachable"))
    (event,) = announcements({}, down)
    assert (event.type, event.reason) == ("Warning", "Unreachable")
    assert announcements(down, observe(host(status=down), failed("Unreachable"), now=later(60))) == []
    (event,) = announcements(down, observe(host(status=down), WORKING, now=later(90)))
    assert (event.type, event.reason) == ("Normal", "Ready")


def test_a_host_that_nobody_gave_a_name_works_and_says_so() -> None:
    nameless = SETTINGS.model_copy(update={"endpoint_host": ""})
    status = observe(host(endpoint={"type": "Ingress"}), WORKING, settings=nameless)
    assert condition(status, "Exposed") == ("False", "NoPublicURL")
    assert condition(status, "Ready") == ("True", "Ready")
    assert status["url"].startswith("http://rh-web-01.shop.svc:")


def test_a_failure_without_a_name_of_its_own_is_an_internal_error_with_its_message() -> None:
    status = observe(host(), failed("BrokenInsides", "the very cause"))
    assert condition(status, "Connected") == ("False", "InternalError")
    assert by_type(status)["Ready"]["message"] == "the very cause"
