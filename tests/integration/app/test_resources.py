"""Files of the host as resources, and completion of their paths, with real clients of both eras."""

import base64
import json
from dataclasses import replace
from pathlib import Path

import mcp_types as types
import pytest
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.config import Environment, Limits, PathPolicy, Permission, Policy, SecretValue, ToolGroup
from fairlead_sidecar.protocol import resources
from fairlead_sidecar.tools.catalogue import TOOLS
from fairlead_sidecar.tools.spec import Arguments, Call, Result
from tests.integration.app.endpoint import ERAS, RunningEndpoint, initialize, request

both_eras = pytest.mark.parametrize("era", ERAS)
TEMPLATE = "ssh://web-01/{+path}"


def complete(value: str, *, ref: str = TEMPLATE, argument: str = "path") -> dict[str, object]:
    """Arguments of the client's `complete`."""
    return {
        "ref": types.ResourceTemplateReference(type="ref/resource", uri=ref),
        "argument": {"name": argument, "value": value},
    }


@both_eras
async def test_a_text_file_is_read_as_text_with_its_type(endpoint: RunningEndpoint, tmp_path: Path, era: str) -> None:
    file = tmp_path / "grün & 100%.json"
    file.write_text('{"a": "ü"}')
    uri = resources.uri_of(endpoint.config, str(file))
    async with endpoint.client(era) as client:
        (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, types.TextResourceContents)
    assert (content.uri, content.mime_type, content.text) == (uri, "application/json", '{"a": "ü"}')
    line = endpoint.audit("call")[-1]
    assert (line["tool"], line["path"], line["outcome"]) == ("resources/read", str(file), "ok")


@both_eras
async def test_bytes_are_read_as_they_are(endpoint: RunningEndpoint, tmp_path: Path, era: str) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\x00")
    (tmp_path / "unknown").write_bytes(b"\xff\x00")
    async with endpoint.client(era) as client:
        for name, mime_type in (("picture.png", "image/png"), ("unknown", "application/octet-stream")):
            (content,) = (await client.read_resource(f"ssh://web-01{tmp_path}/{name}")).contents
            assert isinstance(content, types.BlobResourceContents)
            assert content.mime_type == mime_type
            assert base64.b64decode(content.blob) == (tmp_path / name).read_bytes()


@both_eras
async def test_a_directory_is_read_as_its_entries_with_their_uris(
    endpoint: RunningEndpoint, tmp_path: Path, era: str
) -> None:
    place = tmp_path / "place"
    (place / "sub dir").mkdir(parents=True)
    (place / "file#1").write_text("one")
    async with endpoint.client(era) as client:
        (content,) = (await client.read_resource(f"ssh://web-01{place}")).contents
        assert isinstance(content, types.TextResourceContents)
        listing = json.loads(content.text)
        assert [entry["name"] for entry in listing["entries"]] == ["file#1", "sub dir"]
        (inner,) = (await client.read_resource(listing["entries"][0]["uri"])).contents
        assert isinstance(inner, types.TextResourceContents)
        assert inner.text == "one"


@both_eras
async def test_entry_points_and_the_template_are_listed_and_can_be_read(endpoint: RunningEndpoint, era: str) -> None:
    endpoint.reconfigure(environment=Environment(working_directory="/usr"))
    await endpoint.settled()
    async with endpoint.client(era) as client:
        listed = (await client.list_resources()).resources
        assert [resource.uri for resource in listed] == ["ssh://web-01/~/", "ssh://web-01/usr"]
        for resource in listed:
            (content,) = (await client.read_resource(resource.uri)).contents
            assert content.mime_type == "application/json"
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == TEMPLATE


@both_eras
async def test_what_cannot_be_read_is_an_error_that_says_why(
    endpoint: RunningEndpoint, tmp_path: Path, era: str
) -> None:
    (tmp_path / "large").write_bytes(b"x" * 5000)
    (tmp_path / "secret").write_text("no")
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "way").symlink_to(tmp_path / "secret")
    endpoint.reconfigure(
        limits=Limits(output_bytes=1000), policy=Policy(paths=PathPolicy(read=(str(tmp_path / "open"), "/nowhere")))
    )
    (tmp_path / "open" / "large").write_bytes(b"x" * 5000)
    await endpoint.settled()
    async with endpoint.client(era) as client:
        for uri, code in [
            (f"ssh://web-01{tmp_path}/open/large", "invalid_request"),
            (f"ssh://web-01{tmp_path}/secret", "policy_denied"),
            (f"ssh://web-01{tmp_path}/open/way", "policy_denied"),
            (f"ssh://web-01{tmp_path}/open/../secret", "policy_denied"),
            (f"ssh://web-01{tmp_path}/open/%2e%2e/secret", "policy_denied"),
            (f"ssh://web-01{tmp_path}", "policy_denied"),
            (f"ssh://web-01{tmp_path}/open/none", "file_error"),
            (f"ssh://web-02{tmp_path}/open/large", "invalid_request"),
            (f"ssh://web-01:22{tmp_path}/open/large", "invalid_request"),
            (f"file://{tmp_path}/open/large", "invalid_request"),
            (f"ssh://web-01{tmp_path}/open/large?x", "invalid_request"),
            (f"ssh://web-01{tmp_path}/open/%00", "invalid_request"),
            (f"ssh://web-01{tmp_path}/open/%ff", "invalid_request"),
            ("ssh://[", "invalid_request"),
        ]:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(uri)
            assert caught.value.error.data["code"] == code, uri
            assert caught.value.error.data["host"] == "web-01"
            line = endpoint.audit("call")[-1]
            assert (line["tool"], line["outcome"]) == ("resources/read", code), uri
            assert line["decision"] == ("deny" if code == "policy_denied" else "allow"), uri
        with pytest.raises(MCPError, match="read_file"):
            await client.read_resource(f"ssh://web-01{tmp_path}/open/large")


@both_eras
async def test_without_the_permission_or_the_group_there_are_no_resources(hostless: RunningEndpoint, era: str) -> None:
    token, grant = hostless.keyring.grant(Permission.VIEW, Permission.EXECUTE, Permission.WRITE)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.client(era, token) as client:
        assert (await client.list_resources()).resources == []
        assert (await client.list_resource_templates()).resource_templates == []
        assert (await client.complete(**complete("etc/"))).completion.values == []  # type: ignore[arg-type] # see complete
    hostless.reconfigure(groups=frozenset({ToolGroup.EXECUTE}))
    await hostless.settled()
    async with hostless.client(era) as client:
        assert (await client.list_resources()).resources == []
        with pytest.raises(MCPError, match="does not offer its files"):
            await client.read_resource("ssh://web-01/etc/hosts")


async def test_reading_without_permission_gets_403_with_the_scope_it_needs(hostless: RunningEndpoint) -> None:
    token, grant = hostless.keyring.grant(Permission.VIEW)
    hostless.reconfigure(tokens=(*hostless.config.tokens, grant))
    await hostless.settled()
    async with hostless.http(token) as http:
        session = await initialize(http, hostless.url)
        message = request("resources/read", {"uri": "ssh://web-01/etc/hosts"})
        answer = await http.post(hostless.url, json=message, headers=session)
    assert answer.status_code == 403
    assert 'scope="fairlead:view fairlead:read"' in answer.headers["www-authenticate"]


@both_eras
async def test_paths_are_completed(endpoint: RunningEndpoint, tmp_path: Path, era: str) -> None:
    place = tmp_path / "place"
    (place / "alpha").mkdir(parents=True)
    (place / "alpine.txt").touch()
    (place / ".alp").touch()
    (place / "beta").touch()
    here = str(place).removeprefix("/")
    async with endpoint.client(era) as client:

        async def values(typed: str, **other: str) -> list[str]:
            return (await client.complete(**complete(typed, **other))).completion.values  # type: ignore[arg-type] # see complete

        assert await values(f"{here}/alp") == [f"{here}/alpha/", f"{here}/alpine.txt"]
        assert await values(f"{here}/.") == [f"{here}/.alp"]
        assert await values(f"{here}/") == [f"{here}/alpha/", f"{here}/alpine.txt", f"{here}/beta"]
        assert "etc/" in await values("et")
        assert await values(f"{here}/none/x") == []
        assert await values(f"{here}/alp", argument="other") == []
        assert await values(f"{here}/alp", ref="ssh://web-02/{+path}") == []
        prompt = types.PromptReference(type="ref/prompt", name="explain_log")
        found = await client.complete(prompt, {"name": "path", "value": f"{place}/be"})
        assert found.completion.values == [f"{place}/beta"]
    assert {line["tool"] for line in endpoint.audit("call")} == {"completion/complete"}


async def test_completion_gives_no_more_than_the_protocol_allows_and_only_what_policy_shows(
    endpoint: RunningEndpoint, tmp_path: Path
) -> None:
    for number in range(150):
        (tmp_path / f"file-{number:03}").touch()
    here = str(tmp_path).removeprefix("/")
    async with endpoint.client() as client:
        completion = (await client.complete(**complete(f"{here}/file"))).completion  # type: ignore[arg-type] # see complete
        assert (len(completion.values), completion.total, completion.has_more) == (100, 150, True)
        endpoint.reconfigure(policy=Policy(paths=PathPolicy(read=("/nowhere",))))
        await endpoint.settled()
        completion = (await client.complete(**complete(f"{here}/file"))).completion  # type: ignore[arg-type] # see complete
        assert completion.values == []
    assert endpoint.audit("call")[-1]["decision"] == "deny"


async def test_completion_leads_to_the_directories_that_may_be_read(endpoint: RunningEndpoint, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "inside").touch()
    here = str(place).removeprefix("/")
    endpoint.reconfigure(policy=Policy(paths=PathPolicy(read=(str(place), "/srv/www"))))
    await endpoint.settled()
    async with endpoint.client() as client:
        for typed, values in [
            ("", [f"{here}/", "srv/www/"]),
            ("sr", ["srv/www/"]),
            (here[:-3], [f"{here}/"]),
            (here, [f"{here}/"]),
            (f"{here}/", [f"{here}/inside"]),
        ]:
            completion = (await client.complete(**complete(typed))).completion  # type: ignore[arg-type] # see complete
            assert sorted(completion.values) == sorted(values), typed
    assert {line["decision"] for line in endpoint.audit("call")} == {"allow"}


@both_eras
async def test_what_the_policy_redacts_is_masked_in_resources_too(
    endpoint: RunningEndpoint, tmp_path: Path, era: str
) -> None:
    secret = tmp_path / "value"
    secret.write_text("swordfish-2026")
    place = tmp_path / "place"
    place.mkdir()
    (place / "config").write_text("password=swordfish-2026\n")
    (place / "swordfish-2026.bak").touch()
    endpoint.reconfigure(policy=Policy(redact=(SecretValue(file=secret, name="app/password"),)))
    await endpoint.settled()
    async with endpoint.client(era) as client:
        for path in (place, place / "config"):
            (content,) = (await client.read_resource(f"ssh://web-01{path}")).contents
            assert isinstance(content, types.TextResourceContents)
            assert "swordfish" not in content.text
            assert content.text
        completion = (await client.complete(**complete(f"{place}/sw".removeprefix("/")))).completion  # type: ignore[arg-type] # see complete
        assert "swordfish" not in str(completion.values)
    assert "swordfish" not in endpoint.audit_stream.getvalue()


@both_eras
async def test_an_unforeseen_failure_tells_nothing_of_itself(
    hostless: RunningEndpoint, monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    async def broken(_call: Call, _arguments: Arguments) -> Result:
        raise RuntimeError("swordfish")

    for name in ("read_file", "list_directory"):
        monkeypatch.setitem(TOOLS, name, replace(TOOLS[name], run=broken))
    hostless.reconfigure(generation=2)
    await hostless.settled()
    async with hostless.client(era) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource("ssh://web-01/etc/hosts")
        assert "swordfish" not in str(caught.value.error)
        assert caught.value.error.data["code"] == "internal_error"
        assert (await client.complete(**complete("etc/"))).completion.values == []  # type: ignore[arg-type] # see complete
    assert [line["outcome"] for line in hostless.audit("call")] == ["internal_error"] * 2
