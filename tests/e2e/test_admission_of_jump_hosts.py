"""Bad jump hosts and environments are refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host
from tests.e2e.test_admission_of_hosts import KEY

INLINE: dict[str, Any] = {
    "address": "bastion.example.com",
    "username": "jump",
    "auth": {"type": "Secret", "secret": {"name": "bastion-ssh"}},
    "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [KEY]}},
}
REF = {"hostRef": {"name": "bastion"}}
TOKEN = {"secretKeyRef": {"name": "app", "key": "token"}}
FORM = "name a RemoteHost with hostRef, or write the server out"


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in INLINE.items() if name not in names}


def secret_ref(**reference: str) -> dict[str, Any]:
    return {"variables": [{"name": "A", "valueFrom": {"secretKeyRef": reference}}]}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("jumpHosts", [], "is empty: add an entry, or remove the field"),
        ("jumpHosts", [REF] * 9, "Too many: 9: must have at most 8 items"),
        ("jumpHosts", [{}], FORM),
        ("jumpHosts", [{"username": "jump"}], FORM),
        ("jumpHosts", [INLINE | REF], FORM),
        ("jumpHosts", [REF | {"port": 22}], "hostRef takes everything from that RemoteHost: remove address, port"),
        ("jumpHosts", [REF | {"auth": INLINE["auth"]}], "hostRef takes everything from that RemoteHost"),
        ("jumpHosts", [without("username")], "a server that is written out needs username, auth and hostKey"),
        ("jumpHosts", [without("auth")], "a server that is written out needs username, auth and hostKey"),
        ("jumpHosts", [without("hostKey")], "a server that is written out needs username, auth and hostKey"),
        ("jumpHosts", [INLINE | {"auth": {"type": "Generated"}}], 'supported values: "Secret"'),
        ("jumpHosts", [INLINE | {"auth": {"type": "Secret"}}], "type Secret needs the member secret: add it"),
        ("jumpHosts", [INLINE | {"hostKey": {"type": "Off"}}], 'supported values: "Pinned", "Authority"'),
        ("jumpHosts", [INLINE | {"hostKey": {"type": "TrustOnFirstUse"}}], 'supported values: "Pinned", "Authority"'),
        ("jumpHosts", [INLINE | {"address": "jump@bastion"}], "must be a host name or an IP address alone"),
        ("jumpHosts", [INLINE | {"port": 0}], "should be greater than or equal to 1"),
        ("jumpHosts", [{"hostRef": {"name": "Bastion"}}], "must be the name of a RemoteHost"),
        ("jumpHosts", [{"hostRef": {"name": "a", "namespace": "other"}}], "unknown field"),
        ("environment", {"workingDirectory": "srv"}, "must be an absolute path such as /srv/app"),
        ("environment", {"workingDirectory": "/srv/.."}, "must be an absolute path such as /srv/app"),
        ("environment", {"variables": []}, "is empty: add an entry, or remove the field"),
        ("environment", {"variables": [{"name": "A"}]}, "set value or valueFrom: exactly one of the two"),
        ("environment", {"variables": [{"name": "A", "value": "b", "valueFrom": TOKEN}]}, "exactly one of the two"),
        ("environment", {"variables": [{"name": "A-B", "value": ""}]}, "must be the name of a variable"),
        ("environment", {"variables": [{"name": "1A", "value": ""}]}, "must be the name of a variable"),
        ("environment", {"variables": [{"name": "A=B", "value": ""}]}, "must be the name of a variable"),
        ("environment", {"variables": [{"name": "FAIRLEAD_X", "value": ""}]}, "begins with FAIRLEAD_"),
        ("environment", {"variables": [{"name": "A", "value": "x\0y"}]}, "holds a NUL character"),
        ("environment", {"variables": [{"name": "A", "value": "x"}] * 2}, "Duplicate value"),
        ("environment", {"variables": [{"name": "A", "valueFrom": {}}]}, "secretKeyRef: Required value"),
        ("environment", secret_ref(name="app"), "secretKeyRef.key: Required value"),
        ("environment", secret_ref(name="app", key="../x"), "must be a key of a Secret"),
        ("environment", secret_ref(name="app", key="..data"), "must be a key of a Secret"),
        ("environment", secret_ref(name="../app", key="x"), "must be the name of an object"),
    ],
)
def test_a_bad_way_or_environment_is_refused_with_what_to_change(
    kube: Kube, host: Object, field: str, value: Any, sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, f"spec.{field}", value))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("jumpHosts", [REF, INLINE, INLINE | {"port": 2222}]),
        ("jumpHosts", [REF] * 8),
        (
            "environment",
            {
                "workingDirectory": "/srv/my app",
                "variables": [
                    {"name": "LANG", "value": "C.UTF-8"},
                    {"name": "_empty", "value": ""},
                    {"name": "LINES_", "value": "a\nb"},
                    {"name": "TOKEN", "valueFrom": TOKEN},
                ],
            },
        ),
    ],
)
def test_a_good_way_or_environment_is_admitted(kube: Kube, host: Object, field: str, value: Any) -> None:
    admitted(kube, changed(host, f"spec.{field}", value))
