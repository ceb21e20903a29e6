"""What the pod runs: its signals, its two ports."""

import asyncio
import logging
import signal
from pathlib import Path

from fairlead_sidecar.app import create_app
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.reload import FileSource
from fairlead_sidecar.server import serve
from fairlead_sidecar.sockets import listen

logger = logging.getLogger("fairlead_sidecar")


async def run(config: Path, *, address: str, port: int, internal_port: int, head_start: HeadStart | None) -> None:
    """Serve one host until SIGTERM or SIGINT.

    Args:
        config: The configuration file; it need not be there yet.
        address: Where both ports listen.
        port: Serves MCP.
        internal_port: Serves health, status and metrics.
        head_start: The link, where it was begun already.

    Raises:
        OSError: A port can't be listened on.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(
        create_app(FileSource(config), head_start=head_start),
        public=listen(address, port),
        internal=listen(address, internal_port),
        stop=stop,
        on_started=lambda: logger.info("Serving on %s and %s", port, internal_port),
    )
