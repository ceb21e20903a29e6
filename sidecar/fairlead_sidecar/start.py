"""The pod's command line. The login begins here; what serves MCP is loaded beside it."""

import argparse
import asyncio
import logging
from pathlib import Path

import uvloop
from pydantic import ValidationError

from fairlead_sidecar import logs
from fairlead_sidecar.config import CONFIG_DIRECTORY, CONFIG_KEY, INTERNAL_PORT, PUBLIC_PORT, SidecarConfig
from fairlead_sidecar.head_start import HeadStart, load

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
    head_start = _begin(options.config)
    await load("fairlead_sidecar.pod")
    from fairlead_sidecar.pod import run  # noqa: PLC0415 - loaded beside the login

    await run(
        options.config,
        address=options.address,
        port=options.port,
        internal_port=options.internal_port,
        head_start=head_start,
    )


def _begin(file: Path) -> HeadStart | None:
    """The link, where there is a configuration by now; what is wrong with it is said once it is taken over."""
    try:
        return HeadStart(SidecarConfig.parse(file.read_bytes()))
    except FileNotFoundError:
        logger.info("Waiting for the configuration at %s", file)
    except (OSError, ValidationError):
        return None
    return None
