from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from fairlead_api import AuthType, KeyAlgorithm, McpToken, Permission, RemoteHost, RemoteHostStatus, ToolGroup
from fairlead_api.meta import Condition, ConditionStatus, LabelSelector
from tests.unit.api.objects import PUBLIC_KEY, mcp_token, remote_host


def test_the_smallest_host_gets_every_default() -> None:
    spec = RemoteHost.model_validate(remote_host()).spec

    assert spec.port == 22
    assert spec.connection.connect_timeout == timedelta(seconds=10)
    assert spec.connection.keep_alive_interval == timedelta(seconds=15)
    assert spec.limits.command_timeout == timedelta(minutes=5)
    assert spec.limits.output_bytes == 1024 * 1024
    assert spec.tools is None
    assert spec.policy is None
    assert not spec.suspended


def test_a_full_host_is_read_field_by_field() -> None:
    spec = RemoteHost.model_validate(
        remote_host(
            port=2222,
            description="Front web server",
            connection={"connectTimeout": "3s", "keepAliveInterval": "1m", "keepAliveCountMax": 5, "maxConnections": 2},
            tools={"groups": ["Files"]},
            policy={"commands": {"deny": [r"\bmkfs(\.|\b)"]}, "paths": {"read": ["/"], "write": ["/srv", "/tmp"]}},
            limits={"commandTimeout": "1h30m", "outputBytes": "64Ki"},
            endpoint={
                "type": "Ingress",
                "url": "https://mcp.example.com/shop/web-01/mcp",
                "ingress": {
                    "className": "traefik",
                    "host": "mcp.example.com",
                    "path": "/shop/web-01",
                    "tls": {"secretName": "mcp-tls"},
                    "annotations": {"example.com/a": "b"},
                },
            },
            sidecar={"resources": {"limits": {"cpu": 1, "memory": "64Mi"}}},
            suspended=True,
        )
    ).spec

    assert spec.connection.keep_alive_count_max == 5
    assert spec.tools is not None
    assert spec.tools.groups == (ToolGroup.FILES,)
    assert spec.policy is not None
    assert spec.policy.paths is not None
    assert spec.policy.paths.write == ("/srv", "/tmp")
    assert spec.limits.command_timeout == timedelta(minutes=90)
    assert spec.limits.output_bytes == 65536
    assert spec.endpoint is not None
    assert spec.endpoint.ingress is not None
    assert spec.endpoint.ingress.tls is not None
    assert spec.endpoint.ingress.tls.secret_name == "mcp-tls"
    assert spec.sidecar.resources is not None
    assert spec.sidecar.resources.limits is not None
    assert spec.sidecar.resources.limits.cpu == "1"
    assert spec.sidecar.resources.requests is None
    assert spec.suspended


def test_the_member_that_type_names_is_filled_in_where_it_needs_no_field() -> None:
    auth = RemoteHost.model_validate(remote_host(auth={"type": "Generated"})).spec.auth

    assert auth.type is AuthType.GENERATED
    assert auth.generated is not None
    assert auth.generated.algorithm is KeyAlgorithm.ED25519


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        ({"type": "Secret"}, "type Secret needs the member secret"),
        ({"type": "Secret", "secret": {"name": "a"}, "generated": {}}, "generated belongs to type Generated only"),
        ({"type": "Generated", "secret": {"name": "a"}}, "secret belongs to type Secret only"),
        ({"type": "Other"}, "Input should be 'Secret', 'Generated' or 'Certificate'"),
        ({"secret": {"name": "a"}}, "secret belongs to type Secret only"),
    ],
)
def test_a_union_holds_exactly_the_member_that_type_names(auth: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RemoteHost.model_validate(remote_host(auth=auth))


@pytest.mark.parametrize(
    "spec",
    [
        {"readOnly": True},
        {"limits": {"commandTimeout": "0s"}},
        {"limits": {"commandTimeout": 300}},
        {"limits": {"outputBytes": "1Gi"}},
        {"limits": {"outputBytes": True}},
        {"port": 0},
        {"port": 65536},
        {"hostKey": {"type": "Pinned", "pinned": {"publicKeys": []}}},
        {"policy": {"commands": {"allow": []}}},
        {"tools": {"groups": []}},
    ],
)
def test_a_host_that_the_api_server_would_refuse_is_refused_here_too(spec: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RemoteHost.model_validate(remote_host(**spec))


def test_a_token_keeps_what_it_may_do_and_for_how_long() -> None:
    token = McpToken.model_validate(mcp_token(ttl="720h", permissions=["View", "Execute"])).spec

    assert token.permissions == (Permission.VIEW, Permission.EXECUTE)
    assert token.ttl == timedelta(days=30)
    assert token.expiration_time is None


def test_an_expiration_time_needs_a_time_zone() -> None:
    token = McpToken.model_validate(mcp_token(expirationTime="2030-01-01T00:00:00Z")).spec
    assert token.expiration_time == datetime(2030, 1, 1, tzinfo=UTC)

    with pytest.raises(ValidationError):
        McpToken.model_validate(mcp_token(expirationTime="2030-01-01T00:00:00"))


@pytest.mark.parametrize(
    ("hosts", "selected"),
    [
        ({"names": ["web-01"]}, True),
        ({"names": ["web-02"]}, False),
        ({"selector": {}}, True),
        ({"names": ["web-02"], "selector": {"matchLabels": {"env": "prod"}}}, True),
        ({"selector": {"matchLabels": {"env": "test"}}}, False),
        ({"selector": {"matchLabels": {"env": "prod", "role": "db"}}}, False),
    ],
)
def test_a_token_is_for_the_union_of_names_and_selector(hosts: dict[str, Any], selected: bool) -> None:
    token = McpToken.model_validate(mcp_token(hosts=hosts)).spec

    assert token.hosts.matches("web-01", {"env": "prod", "role": "web"}) is selected


@pytest.mark.parametrize(
    ("requirement", "selected"),
    [
        ({"operator": "In", "values": ["prod", "test"]}, True),
        ({"operator": "In", "values": ["test"]}, False),
        ({"operator": "NotIn", "values": ["test"]}, True),
        ({"operator": "NotIn", "values": ["prod"]}, False),
        ({"operator": "Exists"}, True),
        ({"operator": "DoesNotExist"}, False),
    ],
)
def test_a_selector_compares_labels_as_kubernetes_does(requirement: dict[str, Any], selected: bool) -> None:
    selector = LabelSelector.model_validate({"matchExpressions": [{"key": "env", **requirement}]})

    assert selector.matches({"env": "prod"}) is selected


def test_a_missing_label_is_not_in_any_values() -> None:
    selector = LabelSelector.model_validate({"matchExpressions": [{"key": "x", "operator": "NotIn", "values": ["a"]}]})

    assert selector.matches({})


def test_a_status_is_written_in_camel_case_without_absent_fields() -> None:
    status = RemoteHostStatus(
        observed_generation=3,
        host_key_fingerprint="SHA256:abc",
        conditions=(
            Condition(
                type="Ready",
                status=ConditionStatus.TRUE,
                observed_generation=3,
                last_transition_time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
                reason="Ready",
                message="Agents can work.",
            ),
        ),
    )

    assert status.to_manifest() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-01-02T03:04:05Z",
                "reason": "Ready",
                "message": "Agents can work.",
            }
        ],
        "addresses": [],
        "mcpServers": [],
        "hostKeyFingerprint": "SHA256:abc",
    }


def test_a_status_from_a_newer_version_is_still_read() -> None:
    host = RemoteHost.model_validate({**remote_host(), "status": {"url": "https://x/mcp", "mcpServers": []}})

    assert host.status.url == "https://x/mcp"


def test_what_is_read_is_written_back_the_same() -> None:
    spec = remote_host(
        limits={"commandTimeout": "1h30m", "foregroundTimeout": "45s", "disconnectGrace": "0s", "outputBytes": "64Ki"}
    )["spec"]

    written = RemoteHost.model_validate(remote_host(**spec)).spec.to_manifest()

    assert written["limits"] == spec["limits"]
    assert written["hostKey"]["pinned"]["publicKeys"] == [PUBLIC_KEY]
