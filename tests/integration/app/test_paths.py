"""What an agent learns of places that the policy closes."""

import pytest

from fairlead_sidecar.config import PathPolicy, Policy
from tests.integration.app.endpoint import RunningEndpoint
from tests.integration.sshd import Sshd


async def refusal(endpoint: RunningEndpoint, tool: str, path: str) -> tuple[str, str]:
    """Code and message of a refused call."""
    arguments = {"path": path} | ({"content": "x"} if tool == "write_file" else {})
    async with endpoint.client() as client:
        result = (await client.call_tool(tool, arguments)).structured_content
    assert result is not None
    return result.get("code", "ok"), result.get("message", "")


@pytest.mark.parametrize("tool", ["read_file", "list_directory", "write_file"])
async def test_a_closed_place_looks_the_same_whatever_is_there(
    endpoint: RunningEndpoint, sshd: Sshd, tool: str
) -> None:
    home, remote = sshd.home, sshd.remote_home
    (home / "open").mkdir()
    (home / "vault" / "inner").mkdir(parents=True)
    (home / "vault" / "file").write_text("secret")
    (home / "open" / "link").symlink_to(f"{remote}/vault/file")
    (home / "open" / "way").symlink_to(f"{remote}/vault")
    endpoint.reconfigure(policy=Policy(paths=PathPolicy(read=(f"{remote}/open",), write=(f"{remote}/open",))))
    await endpoint.settled()
    answers = {
        await refusal(endpoint, tool, path)
        for path in (
            f"{remote}/vault/file",
            f"{remote}/vault/missing",
            f"{remote}/vault/missing/file",
            f"{remote}/vault/file/below",
            f"{remote}/open/link",
            f"{remote}/open/way/file",
            f"{remote}/open/way/missing/deep/file",
            f"{remote}/open/missing/../../vault/missing/x",
            "vault/missing/file",
            "~/vault/missing/file",
            "missing/deep/file",
        )
    }
    ((code, message),) = answers
    assert code == "policy_denied"
    assert "vault" not in message
    # Within, it is said what is wrong.
    assert (await refusal(endpoint, tool, f"{remote}/open/missing/file"))[0] == "file_error"


async def test_the_audit_trail_tells_where_a_denied_path_leads(endpoint: RunningEndpoint, sshd: Sshd) -> None:
    (sshd.home / "open").mkdir()
    (sshd.home / "open" / "link").symlink_to("/etc/hostname")
    endpoint.reconfigure(policy=Policy(paths=PathPolicy(read=(f"{sshd.remote_home}/open",))))
    await endpoint.settled()
    assert (await refusal(endpoint, "read_file", f"{sshd.remote_home}/open/link"))[0] == "policy_denied"
    assert endpoint.audit("call")[-1]["path"] == "/etc/hostname"
