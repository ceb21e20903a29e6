from collections.abc import AsyncIterator
from pathlib import Path

import asyncssh
import pytest

from fairlead_sidecar.config import PinnedHostKeys, SecretFiles, SidecarConfig, Target
from tests.integration.app.endpoint import RunningEndpoint, running
from tests.integration.sshd import Sshd, free_port, sshd, sshd_factory

__all__ = ["sshd", "sshd_factory"]


@pytest.fixture
async def endpoint(sshd: Sshd) -> AsyncIterator[RunningEndpoint]:
    """A sidecar connected to a private sshd."""
    async with running(sshd.sidecar_config()) as endpoint:
        yield endpoint


@pytest.fixture
def unreachable(tmp_path: Path) -> SidecarConfig:
    """A configuration whose host nobody listens on."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "ssh-privatekey").write_bytes(key.export_private_key())
    return SidecarConfig(
        instance="2f9d1c1e-instance",
        namespace="shop",
        name="web-01",
        target=Target(address="127.0.0.1", port=free_port(), username="deploy"),
        auth=SecretFiles(directory=secret, secret_name="web-01-ssh"),
        host_key=PinnedHostKeys(public_keys=(key.export_public_key().decode().strip(),)),
    )


@pytest.fixture
async def hostless(unreachable: SidecarConfig) -> AsyncIterator[RunningEndpoint]:
    """A sidecar that serves without ever reaching its host: enough for all that happens before a tool runs."""
    async with running(unreachable, connected=False) as endpoint:
        yield endpoint
