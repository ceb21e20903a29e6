"""Runs one huge command through a link, in a process of its own, and prints how much its memory grew."""

import asyncio
import sys
import threading

import psutil

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.ssh.link import Link
from fairlead_sidecar.ssh.request import CommandRequest
from fairlead_sidecar.ssh.result import Stream


def main() -> None:
    """argv: configuration, command. Prints: growth of the resident memory in bytes, bytes of output seen."""
    asyncio.run(probe(SidecarConfig.parse(sys.argv[1]), sys.argv[2]))


async def probe(config: SidecarConfig, command: str) -> None:
    """Measure the peak while the command runs against what it was before."""
    link = Link(config)
    task = asyncio.create_task(link.run())
    seen = 0

    def count(_stream: Stream, data: bytes) -> None:
        nonlocal seen
        seen += len(data)

    # The same work once, small, so that nothing is counted that is only loaded or allocated once.
    await link.run_command(CommandRequest(command="head -c 8000000 /dev/zero"), timeout=60, sink=count)
    seen = 0
    process = psutil.Process()
    before = peak = process.memory_info().rss
    over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.01):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    await link.run_command(CommandRequest(command=command), timeout=300, sink=count)
    over.set()
    watcher.join()
    print(peak - before, seen)
    task.cancel()
    await asyncio.wait({task})


if __name__ == "__main__":
    main()
