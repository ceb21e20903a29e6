"""What holds for every field of every kind."""

from collections.abc import Iterator
from typing import Any

import pytest

from fairlead_api import HostReason, conditions, host_policy, mcptoken
from fairlead_api.generate.crd import KINDS, Kind, custom_resource_definition, schema_of
from fairlead_sidecar import config, errors

Field = tuple[str, dict[str, Any]]


def fields(schema: dict[str, Any], path: str = "") -> Iterator[Field]:
    """Every schema below an object, by path: fields, list items and map values."""
    for name, field in schema.get("properties", {}).items():
        if (path, name) != ("", "metadata"):
            yield f"{path}.{name}", field
            yield from fields(field, f"{path}.{name}")
    for part, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if part in schema:
            yield path + suffix, schema[part]
            yield from fields(schema[part], path + suffix)


ALL_FIELDS = [
    pytest.param(path, field, id=f"{kind.name}{path}") for kind in KINDS for path, field in fields(schema_of(kind))
]


@pytest.mark.parametrize(("path", "schema"), ALL_FIELDS)
def test_every_field_is_described(path: str, schema: dict[str, Any]) -> None:
    if not path.endswith(("[]", ".*")):
        assert schema["description"].endswith(".")


@pytest.mark.parametrize(("path", "schema"), ALL_FIELDS)
def test_every_field_is_bounded(path: str, schema: dict[str, Any]) -> None:
    if "enum" in schema:
        return
    if schema.get("x-kubernetes-int-or-string"):
        assert "maxLength" in schema
        return
    match schema["type"]:
        case "string":
            assert "maxLength" in schema
        case "array":
            assert "maxItems" in schema
            assert "x-kubernetes-list-type" in schema
        case "object":
            assert "properties" in schema or "maxProperties" in schema
        case "integer":
            assert "minimum" in schema
        case "boolean":
            pass
        case other:
            raise AssertionError(f"no bound is known for type {other}")


@pytest.mark.parametrize(("path", "schema"), [field for field in ALL_FIELDS if ".spec" in str(field.id)])
def test_every_rule_says_what_to_change_in_one_line(path: str, schema: dict[str, Any]) -> None:
    for rule in schema.get("x-kubernetes-validations", []):
        assert "\n" not in rule["message"]
        assert len(rule["message"].split()) >= 5


@pytest.mark.parametrize(("path", "schema"), [field for field in ALL_FIELDS if ".spec" in str(field.id)])
def test_a_list_in_a_spec_is_never_written_empty(path: str, schema: dict[str, Any]) -> None:
    if schema.get("type") == "array":
        assert schema["minItems"] == 1
    if "additionalProperties" in schema:
        assert schema["minProperties"] == 1


@pytest.mark.parametrize(("path", "schema"), [field for field in ALL_FIELDS if ".spec" in str(field.id)])
def test_an_optional_field_without_default_says_what_its_absence_means(path: str, schema: dict[str, Any]) -> None:
    if (
        "minItems" in schema
        and "required" not in schema
        and not path.endswith(("permissions", "publicKeys", "values", "argv", "nodeSelectorTerms", "matchExpressions"))
    ):
        assert "Absent: " in schema["description"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_namespaced_with_a_status_of_its_own_and_a_short_name(kind: Kind) -> None:
    spec = custom_resource_definition(kind)["spec"]

    assert spec["scope"] == "Namespaced"
    assert spec["names"]["categories"] == ["fairlead"]
    assert spec["names"]["shortNames"] == [
        {"RemoteHost": "rh", "McpToken": "mcpt", "SSHCertificateAuthority": "sshca"}[kind.name]
    ]
    assert spec["versions"][0]["subresources"] == {"status": {}}


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        (KINDS[0], ["Ready", "Reason", "Exposed", "URL", "Age"]),
        (KINDS[1], ["Ready", "Reason", "Subject", "Hosts", "Expires", "Age"]),
        (KINDS[2], ["Ready", "Reason", "Certificates", "Revoked", "Age"]),
    ],
)
def test_kubectl_get_shows_what_matters(kind: Kind, columns: list[str]) -> None:
    shown = custom_resource_definition(kind)["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [column["name"] for column in shown if not column.get("priority")] == columns


def test_defaults_are_written_as_a_person_would() -> None:
    spec = schema_of(KINDS[0])["properties"]["spec"]["properties"]

    assert spec["connection"]["default"] == {}
    assert spec["connection"]["properties"]["connectTimeout"]["default"] == "10s"
    assert spec["limits"]["properties"]["commandTimeout"]["default"] == "5m"
    assert spec["limits"]["properties"]["outputBytes"]["default"] == "1Mi"
    # Nothing here: what the object does not say is the operator's to say.
    assert "default" not in spec["sidecar"]["properties"]["resources"]


def test_a_tokens_lifetime_has_no_schema_default_that_would_clash_with_an_expiration_time() -> None:
    spec = schema_of(KINDS[1])["properties"]["spec"]["properties"]

    assert "default" not in spec["ttl"]
    assert "720h" in spec["ttl"]["description"]


def test_api_and_sidecar_use_the_same_words() -> None:
    groups = {group.value for group in host_policy.ToolGroup}
    # Tools about the connection are always there, so that the sidecar need not be told of them.
    assert groups == {group.value for group in config.ToolGroup} | {"Connection"}
    assert {permission.value for permission in mcptoken.Permission} == {p.value for p in config.Permission}


def test_every_failure_of_the_ssh_link_is_a_documented_reason() -> None:
    def family(error: type[errors.FairleadError]) -> Iterator[type[errors.FairleadError]]:
        yield error
        for child in error.__subclasses__():
            yield from family(child)

    assert {error.reason for error in family(errors.LinkError)} <= {reason.value for reason in HostReason}


@pytest.mark.parametrize(
    "words",
    [
        conditions.HostCondition,
        conditions.HostReason,
        conditions.McpServerCondition,
        conditions.McpServerReason,
        conditions.TokenCondition,
        conditions.TokenReason,
    ],
    ids=lambda words: words.__name__,
)
def test_every_condition_and_reason_is_explained(words: type[conditions.Documented]) -> None:
    for word in words:
        assert word.value.isalnum()
        assert word.doc.endswith(".")
