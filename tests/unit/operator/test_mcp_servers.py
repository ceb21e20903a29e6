"""How a host's MCP servers show in its status, and when people are told."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from fairlead_operator.cluster.events import QUIET_FOR, Told
from fairlead_operator.reconcile.conditions import recheck_in
from fairlead_operator.reconcile.host_status import announcements
from fairlead_operator.reconcile.mounts import direct_secrets, mounted
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.observed import HostObservation, Obstacle, SidecarView
from fairlead_operator.reconcile.transitions import by_type
from fairlead_sidecar.statusz import McpServerStatus
from tests.unit.operator.states import NOW, WORKING, condition, host, later, observe

HN = {"name": "hn", "type": "Stdio", "stdio": {"command": "uvx", "args": ["mcp-hn"]}}
REF = {"secretKeyRef": {"name": "app", "key": "token"}}


def a_host(status: Any = None, **spec: Any) -> Host:
    return host(status=status, **{"mcpServers": [HN]} | spec)


def told(reason: str = "Ready", message: str = "what happened", since: datetime = NOW, **fields: Any) -> SidecarView:
    """A sidecar that says this of the server `hn`."""
    server = McpServerStatus(name="hn", ready=reason == "Ready", reason=reason, message=message, since=since, **fields)
    assert WORKING.statusz is not None
    return replace(WORKING, statusz=WORKING.statusz.model_copy(update={"mcp_servers": (server,)}))


def hn(status: dict[str, Any]) -> tuple[str, str]:
    (entry,) = status["mcpServers"]
    return condition(entry, "Ready")


def events(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(event.type, event.reason, event.message) for event in announcements(before, after)]


def test_a_server_that_works_shows_what_it_is() -> None:
    view = told(server_name="mcp-hn", server_version="1.2.3", protocol_version="2025-11-25", tool_count=4)
    status = observe(a_host(), view)
    (entry,) = status["mcpServers"]
    assert hn(status) == ("True", "Ready")
    assert entry["serverInfo"] == {"name": "mcp-hn", "version": "1.2.3"}
    assert entry["protocolVersion"] == "2025-11-25"
    assert entry["toolCount"] == 4


def test_a_server_that_fails_has_its_reason_and_leaves_the_host_ready() -> None:
    status = observe(a_host(), told("CommandNotFound", "uvx: command not found"))
    assert hn(status) == ("False", "CommandNotFound")
    assert by_type(status["mcpServers"][0])["Ready"]["message"] == "uvx: command not found"
    assert condition(status, "Ready") == ("True", "Ready")


def test_a_reason_of_a_newer_sidecar_is_failed() -> None:
    assert hn(observe(a_host(), told("SomethingNew"))) == ("False", "Failed")


def test_a_server_that_is_down_keeps_what_it_said_of_itself() -> None:
    before = observe(a_host(), told(server_name="mcp-hn", tool_count=4))
    after = observe(a_host(before), told("Exited"))
    (entry,) = after["mcpServers"]
    assert entry["serverInfo"] == {"name": "mcp-hn"}
    assert entry["toolCount"] == 0


def test_what_a_server_says_of_itself_can_neither_break_the_status_nor_a_terminal() -> None:
    status = observe(a_host(), told(server_name="\x1b[2J" + "x" * 5000, protocol_version="y" * 5000))
    (entry,) = status["mcpServers"]
    assert entry["serverInfo"]["name"].startswith("[2Jxxx")
    assert len(entry["serverInfo"]["name"]) <= 256
    assert len(entry["protocolVersion"]) == 64


def test_a_host_without_servers_has_no_such_field_and_one_that_is_taken_out_leaves_the_status() -> None:
    assert "mcpServers" not in observe(host(), WORKING)
    before = observe(a_host(), told())
    assert "mcpServers" not in observe(host(status=before), WORKING)


def test_a_new_try_does_not_hide_why_the_last_one_failed() -> None:
    before = observe(a_host(), told("StartFailed", "exit status 1"))
    assert observe(a_host(before), told("Starting"), now=later(60)) == before


def test_the_first_start_is_neither_a_success_nor_a_failure() -> None:
    assert hn(observe(a_host(), told("Starting"))) == ("Unknown", "Starting")


@pytest.mark.parametrize("reason", ["Starting", "LinkDown"])
def test_what_is_over_in_a_moment_does_not_flap(reason: str) -> None:
    before = observe(a_host(), told())
    view = told(reason, since=NOW)
    assert observe(a_host(before), view, now=later(4)) == before
    assert recheck_in(HostObservation(now=later(4), view=view, secret_exists=True)) == pytest.approx(1.05)
    assert hn(observe(a_host(before), view, now=later(6)))[1] == reason


def test_a_pod_that_stays_silent_says_nothing_of_servers() -> None:
    before = observe(a_host(), told())
    silent = replace(told(), silent_since=NOW)
    assert hn(observe(a_host(before), silent, now=later(3))) == ("True", "Ready")
    assert hn(observe(a_host(before), silent, now=later(6))) == ("Unknown", "PodNotReady")


def test_a_restarted_operator_keeps_what_was_found_of_servers() -> None:
    before = observe(a_host(), told(server_name="mcp-hn", tool_count=4))
    assert observe(a_host(before), SidecarView(), now=later(3600)) == before


def test_a_new_server_waits_for_the_pod_to_load_it() -> None:
    view = replace(WORKING, outdated_since=NOW)
    assert hn(observe(a_host(generation=2), view, now=later(1))) == ("Unknown", "ConfigurationPending")


def test_an_obstacle_keeps_what_was_found_of_servers() -> None:
    before = observe(a_host(), told())
    obstacle = Obstacle("NameConflict", "somebody else's")  # type: ignore[arg-type]  # a reason's value is enough
    assert observe(a_host(before), told("Exited"), obstacle=obstacle)["mcpServers"] == before["mcpServers"]


def test_a_suspended_host_has_suspended_servers() -> None:
    before = observe(a_host(), told())
    assert hn(observe(a_host(before, suspended=True), SidecarView())) == ("False", "Suspended")


def test_people_are_told_when_a_server_begins_to_work_and_when_it_fails() -> None:
    starting = observe(a_host(), told("Starting"))
    working = observe(a_host(starting), told(message="4 tools."))
    failed = observe(a_host(working), told("Exited", "exit status 1"))
    assert events(starting, working) == [("Normal", "McpServerReady", "hn: 4 tools.")]
    assert events(working, failed) == [("Warning", "McpServerNotReady", "hn: Exited: exit status 1")]
    assert events(failed, failed) == []


@pytest.mark.parametrize("reason", ["LinkDown", "Suspended", "PodNotReady", "ConfigurationPending"])
def test_of_what_concerns_the_host_people_are_told_once_and_not_for_each_server(reason: str) -> None:
    working = observe(a_host(), told())
    away = observe(a_host(working), told(reason), now=later(60))
    back = observe(a_host(away), told(), now=later(90))
    assert events(working, away) == []
    assert events(away, back) == []


def test_a_server_that_comes_and_goes_does_not_fill_the_list_of_events() -> None:
    clock = iter([0.0, 1.0, 2.0, QUIET_FOR - 1, QUIET_FOR + 1]).__next__
    recent = Told(clock)
    assert not recent.again("uid", "hn/Exited")
    assert not recent.again("uid", "hn/Ready")
    assert not recent.again("uid-2", "hn/Exited")
    assert recent.again("uid", "hn/Exited")
    assert not recent.again("uid", "hn/Exited")


def test_secrets_of_servers_are_mounted_and_watched() -> None:
    servers = [
        {"name": "hn", "type": "Stdio", "stdio": {"command": "uvx", "env": [{"name": "T", "valueFrom": REF}]}},
        {
            "name": "app",
            "type": "HTTP",
            "http": {
                "url": "http://127.0.0.1/mcp",
                "headers": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "web", "key": "x"}}}],
            },
        },
        {
            "name": "m2m",
            "type": "SSH",
            "ssh": {
                "port": 8022,
                "username": "mcp",
                "auth": {"type": "Secret", "secret": {"name": "m2m-ssh"}},
                "hostKey": {"type": "KeyServer", "keyServer": {"url": "http://127.0.0.1:8000"}},
            },
        },
    ]
    spec = host(mcpServers=servers).spec
    assert spec is not None
    uses = {some.name: some.use for some in mounted("web-01", spec, ())}
    assert uses == {
        "web-01-ssh": "spec.auth",
        "m2m-ssh": "the MCP server m2m",
        "app": "with the key token for the MCP server hn",
        "web": "with the key x for the MCP server app",
    }
    assert direct_secrets("web-01", spec) == set(uses)
