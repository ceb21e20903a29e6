"""Configurations that come, change, break and come late."""

import json
from pathlib import Path

import httpx
import pytest

from fairlead_sidecar.config import CommandPolicy, Endpoint, PathPolicy, Policy, SidecarConfig, digest
from fairlead_sidecar.reload import FileSource
from fairlead_sidecar.tools.catalogue import TOOLS
from tests.integration.app.endpoint import INITIALIZE, PATH, RunningEndpoint, running, until


class SecretMount:
    """A file in a directory as kubelet mounts Secrets: the file is a link through `..data`, which is swapped."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.file = directory / "config.json"
        self._count = 0

    def write(self, content: str) -> None:
        """Replace the content in one step."""
        self._count += 1
        version = self.directory / f"..v{self._count}"
        version.mkdir()
        (version / "config.json").write_text(content)
        link = self.directory / "..data_tmp"
        link.symlink_to(version.name)
        link.replace(self.directory / "..data")
        if not self.file.is_symlink():
            self.file.symlink_to("..data/config.json")


async def test_a_token_that_a_newer_version_s_file_no_longer_has_is_let_in_no_longer(
    unreachable: SidecarConfig, tmp_path: Path
) -> None:
    mount = SecretMount(tmp_path)
    async with running(unreachable, source=FileSource(mount.file), connected=False) as endpoint:
        mount.write(endpoint.config.render())
        await endpoint.settled()
        digest_before = endpoint.sidecar.status().config_digest
        revoked = endpoint.config.model_copy(update={"tokens": ()})
        mount.write(_merged(revoked.render(), '{"flavour": "new"}'))
        async with endpoint.http() as http:
            await until(lambda: endpoint.sidecar.status().config_error is not None, "the refusal")
            answer = await http.post(endpoint.url, json=INITIALIZE)
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
        assert endpoint.sidecar.status().config_digest == digest_before


async def test_a_file_that_comes_late_is_waited_for(unreachable: SidecarConfig, tmp_path: Path) -> None:
    mount = SecretMount(tmp_path)
    async with (
        running(unreachable, source=FileSource(mount.file), connected=False) as endpoint,
        httpx.AsyncClient() as http,
    ):
        assert (await http.get(f"{endpoint.internal_url}/healthz")).status_code == 200
        assert (await http.get(f"{endpoint.internal_url}/readyz")).status_code == 503
        waiting = (await http.get(f"{endpoint.internal_url}/statusz")).json()
        assert (waiting["config_digest"], waiting["tool_count"]) == (None, 0)
        early = await http.post(endpoint.url, json=INITIALIZE, headers=endpoint.bearer())
        assert (early.status_code, early.json()["error"]) == (503, "unavailable")

        mount.write(endpoint.config.render())
        await endpoint.settled()
        assert (await http.get(f"{endpoint.internal_url}/readyz")).status_code == 200
        status = (await http.get(f"{endpoint.internal_url}/statusz")).json()
        assert (status["config_digest"], status["tool_count"]) == (digest(endpoint.config.render()), len(TOOLS))


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ("{", "Invalid JSON"),
        ('{"instance": "x"}', "namespace: Field required"),
        ('{"flavour": "new"}', "flavour: Extra inputs are not permitted"),
    ],
)
async def test_a_broken_configuration_is_reported_and_the_last_good_one_stays(
    unreachable: SidecarConfig, tmp_path: Path, broken: str, says: str
) -> None:
    mount = SecretMount(tmp_path)
    async with running(unreachable, source=FileSource(mount.file), connected=False) as endpoint:
        mount.write(endpoint.config.render())
        await endpoint.settled()
        good = endpoint.sidecar.status()
        mount.write(_merged(endpoint.config.render(), broken))
        await until(lambda: endpoint.sidecar.status().config_error is not None, "the refusal")
        status = endpoint.sidecar.status()
        assert says in str(status.config_error)
        assert status.config_digest == good.config_digest
        assert status.version != good.version
        async with endpoint.http() as http:
            assert (await http.post(endpoint.url, json=INITIALIZE)).status_code == 200
            assert (await http.get(f"{endpoint.internal_url}/readyz")).status_code == 200

        mount.write(endpoint.config.model_copy(update={"description": "mended"}).render())
        await until(lambda: endpoint.sidecar.status().config_error is None, "the mended one")


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        # Go's regular expressions, which check it at apply, take this one; RE2 finds it too large.
        (Policy(commands=CommandPolicy(deny=("ok", r"\pL{1000}"))), "policy.commands.deny[1]"),
        (Policy(paths=PathPolicy(read=("relative",))), "policy.paths.read[0]"),
    ],
)
async def test_a_policy_that_can_not_be_used_denies_everything_and_holds_up_no_revocation(
    endpoint: RunningEndpoint, tmp_path: Path, policy: Policy, says: str
) -> None:
    kept = endpoint.config.tokens
    revoked, grant = endpoint.keyring.grant()
    endpoint.reconfigure(tokens=(*kept, grant))
    await endpoint.settled()
    good = endpoint.sidecar.status()

    added, grant = endpoint.keyring.grant()
    endpoint.reconfigure(tokens=(*kept, grant), policy=policy)
    await endpoint.settled()
    status = endpoint.sidecar.status()
    assert says in str(status.config_error)
    assert status.version != good.version
    await until(lambda: endpoint.sidecar.status().config_digest is None, "the digest to name no whole configuration")
    async with endpoint.http(revoked) as http:
        assert (await http.post(endpoint.url, json=INITIALIZE)).status_code == 401
        assert (await http.get(f"{endpoint.internal_url}/readyz")).status_code == 200
    async with endpoint.client(token=added) as client:
        for tool, arguments in [
            ("execute_command", {"command": "true"}),
            ("read_file", {"path": "/etc/hostname"}),
            ("list_directory", {"path": "/"}),
            ("write_file", {"path": str(tmp_path / "new"), "content": ""}),
        ]:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content is not None
            assert result.structured_content["code"] == "policy_denied"
            assert f"spec.{says}" in result.structured_content["message"]
        assert not (await client.call_tool("connection_status", {})).is_error

        endpoint.reconfigure(policy=Policy())
        await until(lambda: endpoint.sidecar.status().config_digest is not None, "the mended policy")
        assert endpoint.sidecar.status().config_error is None
        assert not (await client.call_tool("execute_command", {"command": "true"})).is_error


async def test_a_first_configuration_with_a_bad_policy_serves_closed(unreachable: SidecarConfig) -> None:
    config = unreachable.model_copy(update={"policy": Policy(commands=CommandPolicy(allow=("(",)))})
    async with running(config, connected=False) as hostless, hostless.client() as client:
        result = await client.call_tool("execute_command", {"command": "true"})
        assert result.structured_content is not None
        assert result.structured_content["code"] == "policy_denied"
        assert hostless.sidecar.status().config_digest is None


async def test_a_file_that_vanishes_changes_nothing(unreachable: SidecarConfig, tmp_path: Path) -> None:
    mount = SecretMount(tmp_path)
    async with running(unreachable, source=FileSource(mount.file), connected=False) as endpoint:
        mount.write(endpoint.config.render())
        await endpoint.settled()
        mount.file.unlink()
        mount.write(endpoint.config.model_copy(update={"description": "back"}).render())
        await until(
            lambda: endpoint.sidecar.active is not None and endpoint.sidecar.active.config.description == "back",
            "the file that came back",
        )


async def test_a_changed_path_is_served_at_once_and_the_old_one_no_longer(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(endpoint=Endpoint(path="/elsewhere"))
    await hostless.settled()
    async with hostless.http() as http:
        assert (await http.post(f"{hostless.origin}/elsewhere/mcp", json=INITIALIZE)).status_code == 200
        assert (await http.post(f"{hostless.origin}{PATH}/mcp", json=INITIALIZE)).status_code == 404


async def test_an_endpoint_at_the_root_answers_at_mcp(hostless: RunningEndpoint) -> None:
    hostless.reconfigure(endpoint=Endpoint(path=""))
    await hostless.settled()
    async with hostless.http() as http:
        assert (await http.post(f"{hostless.origin}/mcp", json=INITIALIZE)).status_code == 200


async def test_policy_limits_and_description_change_without_a_reconnect(
    endpoint: RunningEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "trick").symlink_to("/etc/hostname")
    since = endpoint.sidecar.status().link.since
    policy = Policy(
        commands=CommandPolicy(deny=(r"\bmkfs\b",), allow=(r"^(echo|mkfs)\b",)),
        paths=PathPolicy(read=(str(tmp_path / "open"),), write=()),
    )
    endpoint.reconfigure(policy=policy, description="Guarded")
    await endpoint.settled()
    async with endpoint.client() as client:
        assert client.instructions is not None
        assert "Guarded" in client.instructions

        async def code(tool: str, **arguments: str) -> object:
            result = await client.call_tool(tool, arguments)
            assert result.structured_content is not None
            return result.structured_content.get("code")

        assert await code("execute_command", command="echo yes") is None
        assert await code("execute_command", command="id") == "policy_denied"
        assert await code("execute_command", command="echo; mkfs /dev/sda") == "policy_denied"
        assert await code("list_directory", path=str(tmp_path / "open")) is None
        assert await code("read_file", path=str(tmp_path / "open" / "trick")) == "policy_denied"
        assert await code("read_file", path=str(tmp_path / "open" / ".." / "x")) == "policy_denied"
        assert await code("list_directory", path=str(tmp_path)) == "policy_denied"
        assert await code("write_file", path=str(tmp_path / "open" / "new"), content="") == "policy_denied"
    assert endpoint.sidecar.status().link.since == since
    denied = [line for line in endpoint.audit("call") if line["decision"] == "deny"]
    assert len(denied) == 6
    assert {line["outcome"] for line in denied} == {"policy_denied"}


def _merged(good: str, change: str) -> str:
    """A whole configuration with top-level members replaced; text that is no object replaces it all."""
    try:
        members = json.loads(change)
    except ValueError:
        return change
    return change if "instance" in members else json.dumps(json.loads(good) | members)
