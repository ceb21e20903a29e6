"""Runs one huge command through a link, in a process of its own, and prints how much its memory grew."""

import asyncio
import sys
import threading

import psutil

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.result import Stream


def main() -> None:
    """argv: configuration, command, `live` or `quiet`. Prints: growth of the resident memory in bytes, bytes seen."""
    asyncio.run(probe(SidecarConfig.parse(sys.argv[1]), sys.argv[2], live=sys.argv[3] == "live"))


async def probe(config: SidecarConfig, command: str, *, live: bool) -> None:
    """Measure the peak while the command runs against what it was before."""
    link = Link(config)
    task = asyncio.create_task(link.run())

    async def on_output(_stream: Stream, _data: bytes) -> None:
        await asyncio.sleep(0)

    listener = on_output if live else None
    # The same work once, small, so that nothing is counted that is only loaded or allocated once.
    await link.command("head -c 8000000 /dev/zero", timeout=60, output_limit=1024 * 1024, on_output=listener)
    process = psutil.Process()
    before = peak = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = await link.command(command, timeout=100, output_limit=1024 * 1024, on_output=listener)
    over.set()
    watcher.join()
    print(peak - before, result.stdout_bytes)
    task.cancel()
    await asyncio.wait({task})


if __name__ == "__main__":
    main()
