"""What the pod runs: its signals, its two ports."""

import asyncio
import logging
import signal
from pathlib import Path

from fairlead_sidecar.app import create_app
from fairlead_sidecar.head_start import HeadStart
from fairlead_sidecar.reload import FileSource
from fairlead_sidecar.server import serve
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.sockets import listen

logger = logging.getLogger("fairlead_sidecar")


async def run(config: Path, *, address: str, port: int, internal_port: int, head_start: HeadStart | None) -> None:
    """Serve one host until SIGTERM or SIGINT; then let what was begun come to its end, or end it with the next signal.

    Args:
        config: The configuration file; it need not be there yet.
        address: Where both ports listen.
        port: Serves MCP.
        internal_port: Serves health, status and metrics.
        head_start: The link, where it was begun already.

    Raises:
        OSError: A port can't be listened on.
    """
    app = create_app(FileSource(config), head_start=head_start)
    sidecar: Sidecar = app.state.sidecar
    stop = asyncio.Event()

    def told() -> None:
        (sidecar.hurry if stop.is_set() else stop).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    await serve(
        app,
        public=listen(address, port),
        internal=listen(address, internal_port),
        stop=stop,
        on_started=lambda: logger.info("Serving on %s and %s", port, internal_port),
    )
