"""A bad RemoteHost is refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import REMOVED, admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
DURATION = "must be a duration from 1s to 24h, written like 30s, 5m or 1h30m"
SIZE = "must be a size from 1Ki to 16Mi, written like 64Ki or 1Mi"
ABSOLUTE = "must be an absolute path such as /srv/app"
NAME = "metadata.name must begin with a letter, hold only lower-case letters, digits and '-', and have at most 50"


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("spec.prot", 22, 'unknown field "spec.prot"'),
        ("spec.policy", {"readonly": True}, 'unknown field "spec.policy.readonly"'),
        ("spec.address", REMOVED, "spec.address: Required value"),
        ("spec.address", "", "spec.address in body should be at least 1 chars long"),
        ("spec.address", "deploy@web-01:22", "must be a host name or an IP address alone"),
        ("spec.address", "ssh://web-01", "must be a host name or an IP address alone"),
        ("spec.address", "[::1]", "IPv6 has no brackets"),
        ("spec.address", "-oProxyCommand=x", "must be a host name or an IP address alone"),
        ("spec.address", "a" * 254, "Too long: may not be more than 253 bytes"),
        ("spec.port", 0, "spec.port in body should be greater than or equal to 1"),
        ("spec.port", 65536, "spec.port in body should be less than or equal to 65535"),
        ("spec.port", "22", 'must be of type integer: "string"'),
        ("spec.username", "two words", "must be an account name"),
        ("spec.username", "-oProxyCommand=x", "must be an account name"),
        ("spec.auth", REMOVED, "spec.auth: Required value"),
        (
            "spec.auth.generated",
            {},
            "generated belongs to type Generated only: remove generated, or set type: Generated",
        ),
        ("spec.auth.secret", REMOVED, "type Secret needs the member secret: add it"),
        ("spec.auth.type", REMOVED, "spec.auth.type: Required value"),
        ("spec.auth.type", "Generated", "secret belongs to type Secret only: remove secret, or set type: Secret"),
        ("spec.auth.type", "Password", 'supported values: "Secret", "Generated", "Certificate"'),
        ("spec.auth.secret.name", "Web_01", "must be the name of an object: lower-case letters"),
        ("spec.hostKey", REMOVED, "spec.hostKey: Required value"),
        ("spec.hostKey.type", "Off", 'supported values: "Pinned", "TrustOnFirstUse", "Authority"'),
        ("spec.hostKey.type", "TrustOnFirstUse", "pinned belongs to type Pinned only: remove pinned"),
        (
            "spec.hostKey",
            {"type": "Authority", "authority": {"publicKeys": [KEY]}, "trustOnFirstUse": {}},
            "trustOnFirstUse belongs to type TrustOnFirstUse only: remove trustOnFirstUse",
        ),
        (
            "spec.hostKey",
            {"type": "TrustOnFirstUse", "trustOnFirstUse": {"deletionPolicy": "Keep"}},
            'supported values: "Delete", "Retain"',
        ),
        ("spec.hostKey.type", "Authority", "pinned belongs to type Pinned only: remove pinned, or set type: Pinned"),
        ("spec.hostKey", {"type": "Authority"}, "type Authority needs the member authority: add it"),
        ("spec.hostKey", {"type": "Authority", "authority": {"publicKeys": []}}, "is empty: add an entry"),
        ("spec.hostKey.pinned", REMOVED, "type Pinned needs the member pinned: add it"),
        ("spec.hostKey.pinned.publicKeys", [], "is empty: add an entry"),
        ("spec.hostKey.pinned.publicKeys", [f"web-01 {KEY}"], "without the host name that ssh-keyscan puts in front"),
        ("spec.hostKey.pinned.publicKeys", ["SHA256:" + "a" * 43], "must be one public key line"),
        ("spec.hostKey.pinned.publicKeys", [f"{KEY}\n{KEY}"], "must be one public key line"),
        ("spec.hostKey.pinned.publicKeys", [KEY, KEY], "Duplicate value"),
        ("spec.connection", {"connectTimeout": "0s"}, "must be a duration from 1s to 5m"),
        ("spec.connection", {"keepAliveInterval": "2h"}, "must be a duration from 1s to 1h"),
        ("spec.connection", {"keepAliveCountMax": 0}, "should be greater than or equal to 1"),
        ("spec.connection", {"maxConnections": 65}, "should be less than or equal to 64"),
        ("spec.tools", {"groups": []}, "is empty: add an entry, or remove the field"),
        ("spec.tools", {"groups": ["Shell"]}, 'supported values: "Connection", "Execute", "Files"'),
        (
            "spec.policy",
            {"commands": {"deny": ["(foo"]}},
            "missing closing ): `(foo` evaluating rule: is no valid RE2 pattern",
        ),
        ("spec.policy", {"commands": {"allow": ["ok", "[z-a]"]}}, "spec.policy.commands.allow[1]: "),
        ("spec.policy", {"commands": {"allow": ["a(?=b)"]}}, "unsupported Perl syntax: `(?=` evaluating rule"),
        ("spec.policy", {"commands": {"deny": [r"(a)\1"]}}, "is no valid RE2 pattern: mend it"),
        ("spec.policy", {"commands": {"deny": ["(a{900}){900}"]}}, "is no valid RE2 pattern: mend it"),
        ("spec.policy", {"commands": {"allow": []}}, "is empty: add an entry, or remove the field"),
        ("spec.policy", {"commands": {"deny": ["a"] * 65}}, "Too many: 65: must have at most 64 items"),
        ("spec.policy", {"paths": {"read": ["srv"]}}, ABSOLUTE),
        ("spec.policy", {"paths": {"read": ["/srv/../etc"]}}, ABSOLUTE),
        ("spec.policy", {"paths": {"write": ["/srv/"]}}, ABSOLUTE),
        ("spec.policy", {"paths": {"write": ["//srv"]}}, ABSOLUTE),
        ("spec.policy", {"paths": {"write": ["/srv/."]}}, ABSOLUTE),
        ("spec.policy", {"paths": {"write": []}}, "is empty: add an entry, or remove the field"),
        ("spec.limits", {"commandTimeout": "5 minutes"}, DURATION),
        ("spec.limits", {"commandTimeout": "0s"}, DURATION),
        ("spec.limits", {"commandTimeout": "25h"}, DURATION),
        ("spec.limits", {"commandTimeout": "99999999999h"}, DURATION),
        ("spec.limits", {"commandTimeout": 300}, 'must be of type string: "integer"'),
        ("spec.limits", {"idleTimeout": "0s"}, DURATION),
        ("spec.limits", {"foregroundTimeout": "2h"}, "must be a duration from 1s to 1h"),
        ("spec.limits", {"disconnectGrace": "-1s"}, "must be a duration from 0s to 1h"),
        ("spec.limits", {"outputBytes": "1MB"}, SIZE),
        ("spec.limits", {"outputBytes": 0}, SIZE),
        ("spec.limits", {"concurrentCommands": 0}, "should be greater than or equal to 1"),
        ("spec.limits", {"concurrentCommands": 1025}, "should be less than or equal to 1024"),
        ("spec.limits", {"requestsPerMinute": 0}, "should be greater than or equal to 1"),
        ("spec.limits", {"requestsPerMinute": "60"}, 'must be of type integer: "string"'),
        ("spec.limits", {"commandsPerHour": 0.5}, 'must be of type integer: "number"'),
        ("spec.limits", {"commandsPerHour": 1000001}, "should be less than or equal to 1000000"),
        ("spec.limits", {"outputBytes": "1Gi"}, SIZE),
        ("spec.endpoint", {"type": "LoadBalancer"}, 'supported values: "Ingress", "HTTPRoute", "Service"'),
        ("spec.endpoint", {"url": "https://mcp.example.com/mcp"}, "spec.endpoint.type: Required value"),
        ("spec.endpoint", {"type": "Ingress", "url": "mcp.example.com"}, "must be a full URL such as https://"),
        (
            "spec.endpoint",
            {"type": "Ingress", "url": "https://u:p@mcp.example.com/mcp"},
            "without user, query or fragment",
        ),
        ("spec.endpoint", {"type": "Ingress", "url": "file:///etc/passwd"}, "http or https"),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"host": "https://a"}}, "without scheme, port or path"),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"host": "10.0.0.1"}}, "must be a domain name"),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"path": "web"}}, "must be a URL path such as /shop/web-01"),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"path": "/a/../b"}}, "must be a URL path"),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"tls": {}}}, "name a secretName that exists, or an issuer"),
        (
            "spec.endpoint",
            {"type": "Ingress", "ingress": {"annotations": {"fairlead.dev/x": "y"}}},
            "those are Fairlead's own, remove them",
        ),
        ("spec.endpoint", {"type": "Ingress", "ingress": {"annotations": {"a b": "c"}}}, "no annotation key"),
        ("spec.sidecar", {"resources": {"limits": {"memory": "lots"}}}, "must be a quantity greater than 0"),
        ("spec.sidecar", {"resources": {"limits": {"memory": 0}}}, "must be a quantity greater than 0"),
        ("spec.sidecar", {"resources": {"limits": {"memory": "256m"}}}, "limits.memory is less than 64Mi"),
        ("spec.sidecar", {"resources": {"limits": {"memory": "63Mi"}}}, "limits.memory is less than 64Mi"),
        (
            "spec.sidecar",
            {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "64Mi"}}},
            "requests.memory is more than limits.memory: lower the one or raise the other",
        ),
        ("spec.sidecar", {"image": "mine"}, 'unknown field "spec.sidecar.image"'),
        ("spec.description", "a" * 1025, "Too long: may not be more than 1024 bytes"),
        ("spec", REMOVED, "spec: Required value"),
        ("metadata.name", "a" * 51, NAME),
        ("metadata.name", "web.01", NAME),
        ("metadata.name", "1-web", NAME),
        ("metadata.name", "Web-01", "must consist of lower case alphanumeric characters"),
    ],
)
def test_a_bad_host_is_refused_with_what_to_change(
    kube: Kube, host: Object, path: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, path, value))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.address", "10.0.0.1"),
        ("spec.address", "2001:db8::1"),
        ("spec.address", "web_01.internal."),
        ("spec.username", "deploy.user-1"),
        ("spec.username", "CORP\\deploy"),
        ("spec.auth", {"type": "Generated"}),
        ("spec.auth", {"type": "Generated", "generated": {"algorithm": "RSA", "deletionPolicy": "Retain"}}),
        ("spec.hostKey.pinned.publicKeys", [f"{KEY} root@web-01", f"ecdsa-sha2-nistp256 AAAA{'a' * 140}="]),
        (
            "spec.policy",
            {"commands": {"allow": [r"^(?i)(ls|cat)\b"], "deny": [r"\bmkfs(\.|\b)", r"\p{L}+", "a{2,3}?"]}},
        ),
        ("spec.policy", {"paths": {"read": ["/"], "write": ["/srv/..data", "/srv/my files", "/.hidden"]}}),
        ("spec.limits", {"commandTimeout": "1h30m", "outputBytes": 4096}),
        ("spec.limits", {"concurrentCommands": 16, "requestsPerMinute": 60, "commandsPerHour": 500}),
        ("spec.limits", {"commandTimeout": "1.5s", "idleTimeout": "30s", "disconnectGrace": "0s"}),
        ("spec.hostKey", {"type": "Authority", "authority": {"publicKeys": [KEY]}}),
        ("spec.hostKey", {"type": "TrustOnFirstUse"}),
        ("spec.hostKey", {"type": "TrustOnFirstUse", "trustOnFirstUse": {"deletionPolicy": "Retain"}}),
        ("spec.tools", {"groups": ["Connection"]}),
        ("spec.endpoint", {"type": "Ingress"}),
        ("spec.endpoint", {"type": "Ingress", "url": "https://mcp.example.com:8443/shop/web-01/mcp"}),
        (
            "spec.endpoint",
            {
                "type": "Ingress",
                "ingress": {
                    "className": "traefik",
                    "host": "mcp.example.com",
                    "path": "/",
                    "tls": {"secretName": "mcp-tls"},
                    "annotations": {"cert-manager.io/cluster-issuer": "main"},
                },
            },
        ),
        ("spec.sidecar", {"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "1500m"}}}),
        ("spec.suspended", True),
        ("metadata.name", "a" * 50),
    ],
)
def test_a_good_host_is_admitted(kube: Kube, host: Object, path: str, value: Any) -> None:
    admitted(kube, changed(host, path, value))


def test_the_smallest_host_shows_its_defaults(kube: Kube, host: Object) -> None:
    spec = admitted(kube, host)["spec"]

    assert spec["port"] == 22
    assert spec["connection"] == {
        "connectTimeout": "10s",
        "keepAliveInterval": "15s",
        "keepAliveCountMax": 3,
        "maxConnections": 16,
    }
    assert spec["limits"] == {
        "commandTimeout": "5m",
        "foregroundTimeout": "50s",
        "disconnectGrace": "1m",
        "outputBytes": "1Mi",
    }
    assert spec["environment"] == {}
    assert "jumpHosts" not in spec
    assert spec["suspended"] is False
    assert "tools" not in spec
    assert "policy" not in spec


def test_the_kind_of_a_generated_key_stays(kube: Kube, host: Object) -> None:
    generated = changed(host, "spec.auth", {"type": "Generated"})
    # Suspended, so that no pod is made for it.
    kube.apply(changed(changed(generated, "metadata.name", "generated"), "spec.suspended", True))
    other = changed(generated, "spec.auth", {"type": "Generated", "generated": {"algorithm": "RSA"}})

    sentence = "generated.algorithm can't be changed: delete the RemoteHost"
    assert sentence in refusal(kube, changed(other, "metadata.name", "generated"))
