"""A bad policy is refused at `kubectl apply`, with a sentence that says what to change."""

from typing import Any

import pytest

from tests.e2e.support.admission import admitted, changed, refusal
from tests.e2e.support.kube import Kube, Object
from tests.e2e.support.objects import remote_host
from tests.e2e.test_admission_of_hosts import KEY

REF = {"name": "app", "key": "token"}
NO_OPTION = "default begins with '-' and might be taken for an option"
OTHER_BRACE = "argv has a brace that is neither a parameter's, as in {unit}, nor doubled"
UNDEFINED = "argv names a parameter in braces that parameters doesn't define"


@pytest.fixture
def host(admission_namespace: str) -> Object:
    return remote_host(admission_namespace, "web-01", "web-01.internal", KEY)


def command(*argv: str, **more: Any) -> dict[str, Any]:
    return {"namedCommands": [{"name": "restart", "argv": list(argv), **more}]}


def parameter(**fields: Any) -> dict[str, Any]:
    return command("echo", "{p}", parameters={"p": fields})


@pytest.mark.parametrize(
    ("policy", "sentence"),
    [
        ({"readOnly": "yes"}, 'must be of type boolean: "string"'),
        ({"namedCommands": []}, "is empty: add an entry, or remove the field"),
        ({"namedCommands": [{"name": "restart"}]}, "argv: Required value"),
        ({"namedCommands": [{"name": "a", "argv": ["ls"]}] * 2}, "Duplicate value"),
        (command(), "is empty: add an entry"),
        (command("ls", name="Restart"), "must be lower-case letters, digits and '_'"),
        (command("ls", name="re-start"), "must be lower-case letters, digits and '_'"),
        (command("ls", name="a" * 42), "Too long: may not be more than 41 bytes"),
        (command("ls\0"), "holds a NUL character"),
        (command("echo", "{p}"), UNDEFINED),
        (command("echo", "{p} {q}", parameters={"p": {}}), UNDEFINED),
        (command("echo", "{p}", parameters={"p": {}, "q": {}}), "parameters defines one that argv doesn't name"),
        (command("echo", "{"), OTHER_BRACE),
        (command("echo", "{}"), OTHER_BRACE),
        (command("echo", "{P}"), OTHER_BRACE),
        (command("echo", "a}"), OTHER_BRACE),
        (command("echo", "{p}", parameters={"P": {}}), "has a name that is not made of lower-case letters"),
        (command("echo", parameters={}), "is empty: add an entry, or remove the field"),
        (command("ls", workingDirectory="srv"), "must be an absolute path such as /srv/app"),
        (command("ls", timeout="0s"), "must be a duration from 1s to 24h"),
        (command("ls", user="root"), "a named command has a user that sudo doesn't allow"),
        (command("ls", user="app") | {"sudo": {"type": "Passwordless"}}, "a user that sudo doesn't allow"),
        (command("ls", user="root") | {"sudo": {"type": "Never"}}, "a user that sudo doesn't allow"),
        (parameter(type="Number"), 'supported values: "String", "Integer", "Boolean"'),
        (parameter(pattern="("), "is no valid RE2 pattern: mend it"),
        (parameter(type="Integer", pattern="a"), "pattern and enum belong to type String only"),
        (parameter(type="Boolean", enum=["a"]), "pattern and enum belong to type String only"),
        (parameter(minimum=1), "minimum and maximum belong to type Integer only"),
        (parameter(type="Integer", minimum=2, maximum=1), "minimum (0 where it is left out) is more than maximum"),
        (parameter(type="Integer", maximum=-1), "minimum (0 where it is left out) is more than maximum"),
        (parameter(type="Integer", default="-1"), "default is no whole number within"),
        (parameter(enum=["a", "a"]), "Duplicate value"),
        (parameter(type="Integer", default="many"), "default is no whole number within minimum and maximum"),
        (parameter(type="Integer", maximum=5, default="6"), "default is no whole number within"),
        (parameter(type="Integer", default=5), 'must be of type string: "integer"'),
        (parameter(type="Boolean", default="yes"), "default of a Boolean is 'true' or 'false'"),
        (parameter(enum=["a"], default="b"), "default is none of the values in enum"),
        (parameter(pattern="[a-z]+", default="a1"), "default does not match pattern as a whole"),
        (parameter(pattern="a|b", default="ac"), "default does not match pattern as a whole"),
        (parameter(default="--force"), NO_OPTION),
        ({"sudo": {}}, "sudo.type: Required value"),
        ({"sudo": {"type": "Always"}}, 'supported values: "Never", "Passwordless", "Password"'),
        ({"sudo": {"type": "Password"}}, "type Password needs passwordSecretRef, and no other type has it"),
        ({"sudo": {"type": "Passwordless", "passwordSecretRef": REF}}, "and no other type has it"),
        ({"sudo": {"type": "Passwordless", "users": []}}, "is empty: add an entry, or remove the field"),
        ({"sudo": {"type": "Passwordless", "users": ["-u"]}}, "must be an account name"),
        ({"sudo": {"type": "Passwordless", "users": ["a", "a"]}}, "Duplicate value"),
        ({"confirm": []}, "is empty: add an entry, or remove the field"),
        ({"confirm": [{"mode": "Elicit"}]}, "pattern: Required value"),
        ({"confirm": [{"pattern": "rm", "mode": "Approve"}]}, 'supported values: "Elicit"'),
        ({"confirm": [{"pattern": "(?!x)"}]}, "is no valid RE2 pattern: mend it"),
        ({"redact": []}, "is empty: add an entry, or remove the field"),
        ({"redact": [{"value": "x"}]}, "unknown field"),
        ({"redact": [{"secretKeyRef": {"name": "app"}}]}, "secretKeyRef.key: Required value"),
    ],
)
def test_a_bad_policy_is_refused_with_what_to_change(
    kube: Kube, host: Object, policy: dict[str, Any], sentence: str
) -> None:
    assert sentence in refusal(kube, changed(host, "spec.policy", policy))


@pytest.mark.parametrize(
    "policy",
    [
        {"readOnly": True},
        command("systemctl", "restart", "{unit}", parameters={"unit": {"pattern": "[a-z-]+", "default": "nginx"}}),
        command("sh", "-c", "echo {{x}} ${{HOME}}"),
        command("echo", "{p}{p}-{{{p}}}", parameters={"p": {"enum": ["a"], "default": "a"}}),
        command("echo", "{p}", parameters={"p": {"pattern": "-.*", "default": "-x"}}),
        command("tail", "-n", "{n}", parameters={"n": {"type": "Integer", "minimum": 1, "maximum": 9, "default": "5"}}),
        command("ls", user="app", readOnly=True, timeout="5s", workingDirectory="/srv")
        | {"sudo": {"type": "Passwordless", "users": ["root", "app"]}},
        {"namedCommands": [{"name": f"c{index}", "argv": ["x" * 128] * 32} for index in range(32)]},
        {"sudo": {"type": "Password", "passwordSecretRef": REF}},
        {"sudo": {"type": "Never"}},
        {"confirm": [{"pattern": r"\brm\s+-rf\b"}, {"pattern": "reboot", "mode": "Elicit"}]},
        {"redact": [{"secretKeyRef": REF}]},
    ],
)
def test_a_good_policy_is_admitted(kube: Kube, host: Object, policy: dict[str, Any]) -> None:
    admitted(kube, changed(host, "spec.policy", policy))


def test_the_defaults_of_a_policy_are_shown(kube: Kube, host: Object) -> None:
    policy = {"sudo": {"type": "Passwordless"}, "confirm": [{"pattern": "rm"}], **parameter()}
    stored = admitted(kube, changed(host, "spec.policy", policy))["spec"]["policy"]

    assert stored["readOnly"] is False
    assert stored["sudo"]["users"] == ["root"]
    assert stored["confirm"] == [{"pattern": "rm", "mode": "Elicit"}]
    assert stored["namedCommands"][0]["readOnly"] is False
    assert stored["namedCommands"][0]["parameters"] == {"p": {"type": "String"}}
