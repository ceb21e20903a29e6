import asyncio
import sys

from tests.integration.sshd import SshdFactory

GIGABYTE = 1_000_000_000
ALLOWED_GROWTH = 32 * 1024 * 1024


async def test_a_gigabyte_of_output_does_not_grow_memory(sshd_factory: SshdFactory) -> None:
    server = sshd_factory(username="deploy")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.ssh.memory_probe",
        server.sidecar_config().render(),
        f"head -c {GIGABYTE} /dev/zero",
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    growth, seen = map(int, output.split())
    print(f"memory growth over 1 GB of output: {growth / 2**20:.1f} MiB")
    assert seen == GIGABYTE
    assert growth < ALLOWED_GROWTH
