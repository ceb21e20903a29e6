"""What the API's models refuse by themselves: `fairlead serve --policy` has no API server to ask."""

from typing import Any

import pytest
from pydantic import ValidationError

from fairlead_api import RemoteHost
from fairlead_api.named_commands import placeholders
from tests.unit.api.objects import PUBLIC_KEY, remote_host

REF = {"name": "app", "key": "token"}
INLINE = {
    "address": "bastion.example.com",
    "username": "jump",
    "auth": {"type": "Secret", "secret": {"name": "bastion-ssh"}},
    "hostKey": {"type": "Pinned", "pinned": {"publicKeys": [PUBLIC_KEY]}},
}


def named(**command: Any) -> dict[str, Any]:
    return {"policy": {"namedCommands": [{"name": "restart", "argv": ["systemctl", "restart", "{unit}"], **command}]}}


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("plain", []),
        ("{unit}", ["unit"]),
        ("--since={day} {hour}", ["day", "hour"]),
        ("{{not_me}}", []),
        ("{{{unit}}}", ["unit"]),
        ("{}", None),
        ("{", None),
        ("}", None),
        ("{Unit}", None),
        ("{unit", None),
        ("{{unit}", None),
    ],
)
def test_parameters_stand_in_single_braces(word: str, names: list[str] | None) -> None:
    if names is None:
        with pytest.raises(ValueError, match="has a brace"):
            list(placeholders(word))
    else:
        assert list(placeholders(word)) == names


@pytest.mark.parametrize(
    "spec",
    [
        {"jumpHosts": [{"hostRef": {"name": "bastion"}}, INLINE, {**INLINE, "port": 2222}]},
        {"hostKey": {"type": "Authority", "authority": {"publicKeys": [PUBLIC_KEY]}}},
        {"environment": {"workingDirectory": "/srv", "variables": [{"name": "LANG", "value": ""}]}},
        {"environment": {"variables": [{"name": "T", "valueFrom": {"secretKeyRef": REF}}]}},
        named(parameters={"unit": {}}),
        named(parameters={"unit": {"pattern": "[a-z]+", "default": "nginx"}}),
        named(argv=["tail", "-n", "{n}"], parameters={"n": {"type": "Integer", "minimum": 1, "default": "10"}}),
        {"policy": {"sudo": {"type": "Passwordless"}}},
        {"policy": {"sudo": {"type": "Password", "passwordSecretRef": REF, "users": ["root", "app"]}}},
        {"policy": {"confirm": [{"pattern": "rm"}], "redact": [{"secretKeyRef": REF}], "readOnly": True}},
    ],
)
def test_what_makes_sense_is_read(spec: dict[str, Any]) -> None:
    RemoteHost.model_validate(remote_host(**spec))


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"jumpHosts": []}, "at least 1 item"),
        ({"jumpHosts": [{}]}, "exactly one of hostRef and address"),
        ({"jumpHosts": [{**INLINE, "hostRef": {"name": "bastion"}}]}, "exactly one of hostRef and address"),
        ({"jumpHosts": [{"hostRef": {"name": "b"}, "port": 22}]}, "hostRef takes everything"),
        ({"jumpHosts": [{"address": "b", "username": "u"}]}, "needs username, auth and hostKey"),
        ({"jumpHosts": [{**INLINE, "auth": {"type": "Generated"}}]}, "Input should be 'Secret'"),
        ({"hostKey": {"type": "Authority"}}, "type Authority needs the member authority"),
        ({"environment": {"variables": [{"name": "A"}]}}, "exactly one of value and valueFrom"),
        (
            {"environment": {"variables": [{"name": "A", "value": "b", "valueFrom": {"secretKeyRef": REF}}]}},
            "exactly one of value and valueFrom",
        ),
        ({"environment": {"variables": [{"name": "A", "value": ""}] * 2}}, "'A' occurs twice"),
        ({"policy": {"namedCommands": [{"name": "a", "argv": ["ls"]}] * 2}}, "'a' occurs twice"),
        ({"environment": {"variables": [{"name": "A=B", "value": ""}]}}, "is no name for a variable"),
        ({"environment": {"variables": [{"name": "FAIRLEAD_A", "value": ""}]}}, "is no name for a variable"),
        ({"environment": {"workingDirectory": "srv"}}, "is no absolute path"),
        ({"policy": {"paths": {"write": ["/srv/../etc"]}}}, "is no absolute path"),
        (named(), "argv names {unit}, which parameters doesn't define"),
        (named(parameters={"unit": {}, "other": {}}), "parameters defines other, which argv doesn't name"),
        (named(argv=["echo", "{{unit}}"], parameters={"unit": {}}), "parameters defines unit"),
        (named(argv=["echo", "{"]), "has a brace"),
        (named(name="Restart", parameters={"unit": {}}), "no name for a tool"),
        (named(parameters={"unit": {"minimum": 1}}), "belong to type Integer only"),
        (named(parameters={"unit": {"type": "Boolean", "enum": ["a"]}}), "belong to type String only"),
        (named(parameters={"unit": {"type": "Integer", "minimum": 2, "maximum": 1}}), "more than maximum"),
        (named(parameters={"unit": {"type": "Integer", "maximum": -1}}), "more than maximum"),
        (named(parameters={"unit": {"type": "Integer", "default": "-1"}}), "not within"),
        (named(parameters={"unit": {"type": "Integer", "default": "many"}}), "no whole number"),
        (named(parameters={"unit": {"type": "Integer", "maximum": 5, "default": "6"}}), "not within"),
        (named(parameters={"unit": {"type": "Boolean", "default": "yes"}}), "'true' or 'false'"),
        (named(parameters={"unit": {"enum": ["a"], "default": "b"}}), "none of the values"),
        (named(parameters={"unit": {"default": "--force"}}), "begins with '-'"),
        (named(parameters={"unit": {}}, user="root"), "which sudo doesn't allow"),
        ({"policy": {"sudo": {"type": "Password"}}}, "needs passwordSecretRef"),
        ({"policy": {"sudo": {"type": "Never", "passwordSecretRef": REF}}}, "no other type has it"),
        ({"policy": {"confirm": [{"pattern": "rm", "mode": "Approve"}]}}, "Input should be 'Elicit'"),
    ],
)
def test_what_makes_no_sense_is_refused(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        RemoteHost.model_validate(remote_host(**spec))
