"""What the pod runs: its command line, its signals, its two ports."""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

import uvloop

from fairlead_sidecar import logs
from fairlead_sidecar.app import create_app
from fairlead_sidecar.config import CONFIG_DIRECTORY, CONFIG_KEY, INTERNAL_PORT, PUBLIC_PORT
from fairlead_sidecar.reload import FileSource
from fairlead_sidecar.server import listen, serve

logger = logging.getLogger("fairlead_sidecar")


def main() -> None:
    """Serve one host until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="fairlead-sidecar", description="Serve one SSH host as an MCP endpoint.")
    parser.add_argument("--config", type=Path, default=CONFIG_DIRECTORY / CONFIG_KEY, help="configuration file")
    parser.add_argument("--address", default="0.0.0.0", help="address to listen on")  # noqa: S104 - in its own pod
    parser.add_argument("--port", type=int, default=PUBLIC_PORT, help="port that serves MCP")
    parser.add_argument("--internal-port", type=int, default=INTERNAL_PORT, help="port of health, status, metrics")
    parser.add_argument("--log-level", default="INFO", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    options = parser.parse_args()
    logs.configure(options.log_level)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = create_app(FileSource(options.config))
    if not options.config.exists():
        logger.info("Waiting for the configuration at %s", options.config)
    await serve(
        app,
        public=listen(options.address, options.port),
        internal=listen(options.address, options.internal_port),
        stop=stop,
        on_started=lambda: logger.info("Serving on %s and %s", options.port, options.internal_port),
    )
