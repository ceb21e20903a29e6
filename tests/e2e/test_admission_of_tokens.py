"""A bad McpToken is refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import REMOVED, admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import mcp_token

NETWORK = "must be a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32, without bits behind the prefix"
OVERLAP = "overlap (1h unless set) must be shorter than interval: shorten overlap or lengthen interval"
TTL = "must be a duration from 1s to 8760h, written like 30s, 5m or 1h30m"


@pytest.fixture
def token(admission_namespace: str) -> Object:
    return mcp_token(admission_namespace, "cursor", ["web-01"], ["View"])


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("spec.scopes", [], 'unknown field "spec.scopes"'),
        ("spec.subject", REMOVED, "spec.subject: Required value"),
        ("spec.subject", "two words", "must name who uses the token"),
        ("spec.subject", "line\nbreak", "must name who uses the token"),
        ("spec.hosts", {}, "name the hosts: set names, or selector"),
        ("spec.hosts", {"names": []}, "is empty: add an entry, or remove the field"),
        ("spec.hosts", {"names": ["web.01"]}, "must be the name of a RemoteHost"),
        ("spec.hosts", {"names": ["web-01", "web-01"]}, "Duplicate value"),
        ("spec.hosts", {"names": ["*"]}, "must be the name of a RemoteHost"),
        ("spec.hosts", {"selector": {"matchLabels": {}}}, "is empty: add an entry, or remove the field"),
        ("spec.hosts", {"selector": {"matchLabels": {"a b": "c"}}}, "has a key that is no label key"),
        ("spec.hosts", {"selector": {"matchLabels": {"a": "b c"}}}, "must be a label value"),
        (
            "spec.hosts",
            {"selector": {"matchExpressions": [{"key": "env", "operator": "In"}]}},
            "In and NotIn need values; Exists and DoesNotExist take none",
        ),
        (
            "spec.hosts",
            {"selector": {"matchExpressions": [{"key": "env", "operator": "Exists", "values": ["a"]}]}},
            "In and NotIn need values; Exists and DoesNotExist take none",
        ),
        ("spec.permissions", REMOVED, "spec.permissions: Required value"),
        ("spec.permissions", [], "is empty: add an entry"),
        ("spec.permissions", ["Root"], 'supported values: "View", "Read", "Execute", "Write", "Sudo"'),
        ("spec.permissions", ["View", "View"], "Duplicate value"),
        ("spec.ttl", "0s", TTL),
        ("spec.ttl", "30d", TTL),
        ("spec.ttl", "8761h", TTL),
        ("spec.ttl", "-1h", TTL),
        ("spec.expirationTime", "tomorrow", "must be of type date-time"),
        ("spec.expirationTime", "2030-01-01T00:00:00", "must be of type date-time"),
        ("spec.rotation", {"interval": "1m"}, "must be a duration from 5m to 8760h, written like 30s, 5m or 1h30m"),
        ("spec.rotation", {"interval": "30d"}, "must be a duration from 5m to 8760h, written like 30s, 5m or 1h30m"),
        ("spec.rotation", {"overlap": "169h"}, "must be a duration from 0s to 168h, written like 30s, 5m or 1h30m"),
        ("spec.rotation", {"interval": "30m"}, OVERLAP),
        ("spec.rotation", {"interval": "2h", "overlap": "120m"}, OVERLAP),
        ("spec.rotation", {"interval": "720h"}, "rotation.interval must be shorter than ttl (720h unless set)"),
        ("spec.rotation", {"every": "24h"}, 'unknown field "spec.rotation.every"'),
        ("spec.format", "Jwt", 'supported values: "Opaque", "JWT"'),
        ("spec.rateLimit", {"multiplierPercent": 0}, "should be greater than or equal to 1"),
        ("spec.rateLimit", {"multiplierPercent": 10001}, "should be less than or equal to 10000"),
        ("spec.sourceCIDRs", [], "is empty: add an entry, or remove the field"),
        ("spec.sourceCIDRs", ["10.0.0.1"], NETWORK),
        ("spec.sourceCIDRs", ["10.0.0.1/8"], NETWORK),
        ("spec.sourceCIDRs", ["10.0.0.0/33"], NETWORK),
        ("spec.sourceCIDRs", ["10.0.0.0/255.0.0.0"], NETWORK),
        ("spec.sourceCIDRs", ["::ffff:10.0.0.0/104"], NETWORK),
        ("spec.sourceCIDRs", ["fe80::%eth0/64"], NETWORK),
        ("spec.sourceCIDRs", ["office"], NETWORK),
        ("spec.sourceCIDRs", ["10.0.0.0/8", "10.0.0.0/8"], "Duplicate value"),
        ("spec.secretName", "Cursor_Token", "must be the name of an object"),
        ("metadata.name", "a" * 51, "metadata.name must begin with a letter"),
    ],
)
def test_a_bad_token_is_refused_with_what_to_change(
    kube: Kube, token: Object, path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(token, path, value))


def test_ttl_and_expiration_time_exclude_each_other(kube: Kube, token: Object) -> None:
    both = changed(changed(token, "spec.ttl", "1h"), "spec.expirationTime", "2030-01-01T00:00:00Z")

    assert "set either ttl or expirationTime, not both: remove one of them" in refusal(kube, both)


def test_a_rotation_that_never_comes_is_refused(kube: Kube, token: Object) -> None:
    rotating = changed(token, "spec.rotation", {"interval": "24h"})

    assert "rotation.interval must be shorter than ttl" in refusal(kube, changed(rotating, "spec.ttl", "24h"))
    admitted(kube, changed(rotating, "spec.ttl", "25h"))
    admitted(kube, changed(rotating, "spec.expirationTime", "2030-01-01T00:00:00Z"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.hosts", {"selector": {}}),
        ("spec.hosts", {"names": ["web-01"], "selector": {"matchLabels": {"example.com/env": "prod", "empty": ""}}}),
        (
            "spec.hosts",
            {
                "selector": {
                    "matchExpressions": [
                        {"key": "env", "operator": "In", "values": ["prod", "test"]},
                        {"key": "role", "operator": "DoesNotExist"},
                    ]
                }
            },
        ),
        ("spec.permissions", ["View", "Read", "Execute", "Write"]),
        ("spec.ttl", "720h"),
        ("spec.expirationTime", "2030-01-01T00:00:00+02:00"),
        ("spec.subject", "user:jane.doe+ci@example.com/agent"),
        ("spec.secretName", "cursor-admin-token"),
        ("spec.suspended", True),
        ("spec.rotation", {}),
        ("spec.rotation", {"overlap": "0s"}),
        ("spec.rotation", {"interval": "24h"}),
        ("spec.rotation", {"interval": "5m", "overlap": "4m59s"}),
        ("spec.format", "JWT"),
        ("spec.rateLimit", {}),
        ("spec.rateLimit", {"multiplierPercent": 250}),
        ("spec.sourceCIDRs", ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/0", "::/0"]),
    ],
)
def test_a_good_token_is_admitted(kube: Kube, token: Object, path: str, value: Any) -> None:
    admitted(kube, changed(token, path, value))


def test_the_name_of_a_tokens_secret_stays(kube: Kube, token: Object) -> None:
    kube.apply(changed(token, "spec.secretName", "first"))

    for value in ("second", REMOVED):
        other = changed(changed(token, "spec.secretName", "first"), "spec.secretName", value)
        assert "secretName can't be changed: delete the McpToken and create it anew" in refusal(kube, other)
