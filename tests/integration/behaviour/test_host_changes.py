"""A server that comes back, is another one, or does not let us in."""

import asyncssh
import pytest

from fairlead_sidecar.ssh import link
from tests.integration.app.endpoint import ERAS, RunningEndpoint, running
from tests.integration.app.using import use
from tests.integration.sshd import PATIENCE_SECONDS, Sshd

both_eras = pytest.mark.parametrize("era", ERAS)


@both_eras
async def test_the_first_call_after_a_restart_of_sshd_works(
    endpoint: RunningEndpoint, sshd: Sshd, monkeypatch: pytest.MonkeyPatch, era: str
) -> None:
    # A call waits for the link; here for as long as a slow machine needs for a login.
    monkeypatch.setattr(link, "CALL_WAIT_SECONDS", PATIENCE_SECONDS)
    async with endpoint.client(era) as client:
        assert not (await client.call_tool("execute_command", {"command": "true"})).is_error
        sshd.restart()
        result = await client.call_tool("execute_command", {"command": "echo back"})
    assert (result.structured_content or {})["stdout"] == "back\n"


@both_eras
async def test_a_changed_host_key_is_refused_even_by_a_new_process(sshd: Sshd, era: str) -> None:
    config = sshd.sidecar_config()
    sshd.change_host_keys()
    sshd.restart()
    async with running(config, connected=False) as endpoint:
        result = await use(endpoint, "execute_command", era=era, command="true")
    assert result["code"] == "host_key_mismatch"
    assert sshd.fingerprint in result["message"]
    assert "Accepted publickey" not in sshd.log.read_text()


@both_eras
async def test_a_login_key_that_the_host_does_not_know_is_named(sshd: Sshd, era: str) -> None:
    sshd.authorize(asyncssh.generate_private_key("ssh-ed25519"))
    async with running(sshd.sidecar_config(), connected=False) as endpoint:
        result = await use(endpoint, "execute_command", era=era, command="true")
    assert result["code"] == "authentication_failed"
    assert "deploy" in result["message"]
    assert result["hint"]
    assert not result["retriable"]
