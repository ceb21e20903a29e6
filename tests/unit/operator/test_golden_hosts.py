"""For each input below golden/: the manifests of the children, the sidecar's configuration, the status."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fairlead_operator.reconcile.conditions import host_findings
from fairlead_operator.reconcile.deployment import deployment
from fairlead_operator.reconcile.endpoint import resolve_endpoint
from fairlead_operator.reconcile.grants import Told, with_tokens
from fairlead_operator.reconcile.host_config import config_secret, sidecar_config
from fairlead_operator.reconcile.host_credentials import CertificateState, HostCredentials
from fairlead_operator.reconcile.host_keys import judge
from fairlead_operator.reconcile.host_status import host_status
from fairlead_operator.reconcile.jumps import way
from fairlead_operator.reconcile.jwt_claims import jwt_trust
from fairlead_operator.reconcile.network_policy import network_policy
from fairlead_operator.reconcile.objects import Host, read_host, read_token
from fairlead_operator.reconcile.observed import HostObservation, SidecarView
from fairlead_operator.reconcile.placement import drain_timeout, placed
from fairlead_operator.reconcile.routing import route_manifest
from fairlead_operator.reconcile.service import service
from fairlead_operator.reconcile.token import grants
from fairlead_operator.reconcile.token_rotation import Former, Minted, State
from fairlead_operator.settings import Settings
from fairlead_sidecar.config import Permission, SidecarConfig, TokenGrant
from tests.unit.operator.golden_files import Golden, cases, load

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
JWK = {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "k1", "alg": "EdDSA", "use": "sig"}
GRANT = TokenGrant(
    id="abcdefghij23",
    uid="5b1f",
    subject="cursor-admin",
    secret_sha256="0" * 64,
    permissions=frozenset({Permission.VIEW, Permission.EXECUTE}),
    expires_at=NOW + timedelta(hours=1),
)


def others(case: str) -> dict[str, Host]:
    """The other RemoteHosts of the namespace, by name."""
    return {host.key.name: host for host in map(read_host, load(case, "others") or [])}


def tokens(case: str) -> list[Told]:
    """What a host is told of further McpTokens: each is a JWT in the place of a former, opaque token."""
    told = []
    former = Former(id="formertoken2", sha256="1" * 64, expires=NOW + timedelta(hours=1))
    minted = Minted("jsonwebtoken", None, kid="k1", state=State(since=NOW - timedelta(hours=1), former=(former,)))
    for token in map(read_token, load(case, "tokens") or []):
        assert token.spec is not None, token.invalid
        told.append(Told(token.uid, token.created, grants(token, token.spec, minted, NOW)))
    return told


def settings(case: str) -> Settings:
    operator = {"app.kubernetes.io/name": "fairlead", "app.kubernetes.io/component": "operator"}
    base = {
        "namespace": "fairlead-system",
        "sidecar_image": "registry.example.com/fairlead/sidecar:1.0.0",
        "network_policy": {"enabled": True, "operatorLabels": operator},
    }
    return Settings(**base | (load(case, "settings") or {}))


def credentials(case: str) -> HostCredentials | None:
    """What the operator has made for the login."""
    found: dict[str, Any] | None = load(case, "credentials")
    if found is None:
        return None
    certificate = CertificateState(**found.pop("certificate")) if "certificate" in found else None
    return HostCredentials(**found, certificate=certificate)


@pytest.mark.parametrize("case", cases("host"))
def test_host_becomes_what_the_golden_files_say(case: str, golden: Golden) -> None:
    chosen = settings(case)
    host = read_host(load(case, "host"))
    spec = host.spec
    assert spec is not None, host.invalid
    endpoint = resolve_endpoint(host.key, spec, chosen)
    hops = way(host.key.name, spec, others(case).get)
    golden.check(case, "deployment", None if spec.suspended else deployment(host, spec, hops, chosen))
    golden.check(case, "networkpolicy", network_policy(host, spec, hops, chosen))
    golden.check(case, "service", service(host))
    route = route_manifest(host, spec, endpoint, taken=False)
    for kind in ("Ingress", "HTTPRoute"):
        golden.check(case, kind.lower(), route if route is not None and route["kind"] == kind else None)
    host_key = judge(host, spec.host_key, hops, pin=host.status.get("pinnedHostKey"), link=None)
    config = sidecar_config(
        host,
        spec,
        hops,
        endpoint,
        host_key=host_key,
        trusted_proxies=chosen.endpoint_trusted_proxies,
        credentials_version="7/1",
        drain_timeout=drain_timeout(placed(spec.sidecar, chosen.sidecar_defaults)),
    )
    config, left_out = with_tokens(
        config,
        [Told(GRANT.uid, NOW, (GRANT,)), *tokens(case)],
        probe_sha256="f" * 64,
        trust=jwt_trust(host.key, config.endpoint, (JWK,), chosen.issuer),
        now=NOW,
    )
    assert left_out == frozenset()
    secret = config_secret(host, config.render())
    (encoded,) = secret["data"].values()
    rendered = base64.b64decode(encoded)
    assert SidecarConfig.parse(rendered) == config
    secret["data"] = {"config.json": json.loads(rendered)}
    golden.check(case, "config", secret)
    seen = HostObservation(
        now=NOW, view=SidecarView(), secret_exists=True, credentials=credentials(case), host_key=host_key
    )
    findings = host_findings(host, spec, endpoint, seen)
    golden.check(case, "status", host_status(host, endpoint, seen, findings))


@pytest.mark.parametrize("case", cases("host"))
def test_pod_passes_the_restricted_pod_security_standard(case: str) -> None:
    made: dict[str, Any] = load(case, "deployment")
    if made is None:
        return
    pod = made["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    for volume in pod["volumes"]:
        if volume["name"] == "spool":
            assert volume["emptyDir"]["sizeLimit"]
        else:
            (source,) = (volume[kind] for kind in ("secret", "projected") if kind in volume)
            assert source["defaultMode"] == 0o440
    for mount in container["volumeMounts"]:
        assert mount.get("readOnly", False) is (mount["name"] != "spool")
