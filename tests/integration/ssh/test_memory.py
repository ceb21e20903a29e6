import asyncio
import gc
import sys
import weakref

from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import Stream
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import SshdFactory, eventually

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


class Kept:
    """Takes output, and can be watched."""

    def __init__(self) -> None:
        self.output = bytearray()

    def __call__(self, _stream: Stream, data: bytes) -> None:
        self.output += data


async def test_nothing_holds_on_to_what_a_command_wrote(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    link = start_link(sshd_factory(username="deploy").sidecar_config())
    await link.run("true")
    await link.until_at_rest()
    sink = Kept()
    await link.link.run_command(CommandRequest(command="echo x"), timeout=60, sink=sink)
    assert sink.output == b"x\n"
    kept = weakref.ref(sink)
    del sink

    def gone() -> bool:
        gc.collect()
        return kept() is None

    await eventually(gone, "the end of all references")
    await link.stop()
