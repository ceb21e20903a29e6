"""Calls a tool with a big result through an upstream session, in a process of its own; prints how memory grew."""

import asyncio
import sys
import threading

import psutil

from fairlead_sidecar.config import HttpServer, SidecarConfig
from fairlead_sidecar.ssh.link import Link
from tests.integration.upstream.http_servers import session_with
from tests.integration.upstream.local_wire import call, text


def main() -> None:
    """argv: configuration of the sidecar, of the server, size. Prints: growth of the resident memory, result's size."""
    asyncio.run(probe(SidecarConfig.parse(sys.argv[1]), HttpServer.model_validate_json(sys.argv[2]), int(sys.argv[3])))


async def probe(config: SidecarConfig, server: HttpServer, size: int) -> None:
    """Measure the peak of a call against what it was before."""
    link = Link(config)
    running = asyncio.create_task(link.run())
    async with session_with(link, server, probe=False) as session:
        # Small first, so that nothing is counted that is only loaded or allocated once.
        await session.request("tools/call", call("big", size=100_000))
        process = psutil.Process()
        before = peak = process.memory_info().rss
        over = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not over.wait(0.002):
                peak = max(peak, process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        result = await session.request("tools/call", call("big", size=size))
        over.set()
        watcher.join()
        print(max(peak, process.memory_info().rss) - before, len(text(result)))
    running.cancel()
    await asyncio.wait({running})


if __name__ == "__main__":
    main()
