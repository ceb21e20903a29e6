"""The link begins before the sidecar that it is for."""

import asyncio
import io

import pytest

from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.config import SidecarConfig, Target
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.reload import StaticSource
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.observer import NullObserver
from fairlead_sidecar.statusz import LinkState
from tests.integration.app.endpoint import until
from tests.integration.sshd import Sshd, free_port


class NothingYet:
    """A source that has no configuration."""

    def poll(self) -> None:
        """See `ConfigSource`."""


def sidecar_of(config: SidecarConfig | None, head_start: HeadStart) -> Sidecar:
    source = NothingYet() if config is None else StaticSource(config)
    return Sidecar(source, audit=AuditLog(io.StringIO()), head_start=head_start)


def is_connected(sidecar: Sidecar) -> bool:
    return sidecar.status().link.state is LinkState.CONNECTED


async def logged_in(config: SidecarConfig) -> tuple[HeadStart, Link]:
    head_start = HeadStart(config)
    link = head_start.take_over(lambda: None, NullObserver())
    await until(lambda: link.status().state is LinkState.CONNECTED, "the login")
    return head_start, link


async def test_sidecar_has_the_connection_that_was_begun_before_it(sshd: Sshd) -> None:
    config = sshd.sidecar_config()
    head_start, link = await logged_in(config)
    sidecar = sidecar_of(config, head_start)
    async with sidecar.running():
        assert sidecar.link is link
        assert is_connected(sidecar)
        assert sidecar.metrics.registry.get_sample_value("fairlead_ssh_connected") == 1
        assert sidecar.status().config_digest is not None
    assert link._pool is None  # closed with the sidecar


async def test_sidecar_hears_of_a_login_that_ends_after_it_took_over(sshd: Sshd) -> None:
    config = sshd.sidecar_config()
    sidecar = sidecar_of(config, HeadStart(config))
    async with sidecar.running():
        version = sidecar.status().version
        assert (await sidecar.status_after(version, 20)).version != version
        await until(lambda: is_connected(sidecar), "the login")
        assert sidecar.metrics.registry.get_sample_value("fairlead_ssh_connected") == 1


async def test_configuration_that_changed_meanwhile_is_in_force(sshd: Sshd) -> None:
    config = sshd.sidecar_config()
    nowhere = Target(address=sshd.address, port=free_port(), username=sshd.username)
    sidecar = sidecar_of(config, HeadStart(config.model_copy(update={"target": nowhere})))
    async with sidecar.running():
        await until(lambda: is_connected(sidecar), "the login to the host that is configured now")
        await until(lambda: sidecar.status().config_digest is not None, "the configuration to be followed")


async def test_connection_that_nobody_took_over_ends_with_the_sidecar(sshd: Sshd) -> None:
    head_start, link = await logged_in(sshd.sidecar_config())
    async with sidecar_of(None, head_start).running():
        pass
    assert link._pool is None


async def test_fault_in_the_link_heals(sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    faults = ["one before it is taken over", "one after"]
    run = Link.run

    async def run_faultily(link: Link) -> None:
        if faults:
            raise RuntimeError(faults.pop())
        await run(link)

    monkeypatch.setattr(Link, "run", run_faultily)
    config = sshd.sidecar_config()
    head_start = HeadStart(config)
    await asyncio.sleep(0)
    sidecar = sidecar_of(config, head_start)
    async with sidecar.running():
        await until(lambda: is_connected(sidecar), "the login")
    assert not faults
