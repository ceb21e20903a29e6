import asyncio

from fairlead_sidecar.ssh.link import Link
from tests.integration.sshd import Sshd, SshdFactory


async def test_root(sshd: Sshd) -> None:
    link = Link(sshd.sidecar_config())
    task = asyncio.create_task(link.run())
    r = await link.command("id -un; echo e >&2; exit 3", timeout=10, output_limit=1000)
    assert (r.exit_code, r.stdout, r.stderr) == (3, b"root\n", b"e\n")
    print(link.status())
    task.cancel()


async def test_user(sshd_factory: SshdFactory) -> None:
    s = sshd_factory(username="deploy")
    link = Link(s.sidecar_config())
    task = asyncio.create_task(link.run())
    r = await link.command("id -un; pwd; touch x", timeout=10, output_limit=1000)
    assert (r.exit_code, r.stdout, r.stderr) == (0, b"deploy\n/home/deploy\n", b"")
    assert (s.home / "x").exists()
    task.cancel()
