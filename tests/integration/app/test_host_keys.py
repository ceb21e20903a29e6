"""A host key that does not match, as agents see it."""

import asyncio

from tests.integration.app.endpoint import running, until
from tests.integration.sshd import Sshd


async def test_calls_end_and_say_that_the_host_key_does_not_match(sshd: Sshd) -> None:
    async with running(sshd.sidecar_config()) as endpoint, endpoint.client() as client:
        call = asyncio.create_task(client.call_tool("execute_command", {"command": "echo begun; sleep 95.5"}))
        await until(lambda: sshd.running("95.5"), "the command runs")
        sshd.change_host_keys()
        sshd.reload()
        # A new login, as with a changed Secret.
        endpoint.reconfigure(credentials_version="2")
        ended = await call
        assert ended.is_error
        assert (ended.structured_content or {})["code"] == "host_key_mismatch"
        refused = await client.call_tool("execute_command", {"command": "true"})
        assert (refused.structured_content or {})["code"] == "host_key_mismatch"
        assert sshd.fingerprint in str(refused.content)
        files = await client.call_tool("list_directory", {"path": "/"})
        assert (files.structured_content or {})["code"] == "host_key_mismatch"
        outcomes = [record["outcome"] for record in endpoint.audit() if record["kind"] == "call"]
        assert outcomes == ["host_key_mismatch"] * 3
