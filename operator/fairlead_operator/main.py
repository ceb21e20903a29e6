"""Start-up and end: settings, logs, probes, the Lease, and then the operator."""

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import socket
import sys

import kopf
from kubernetes.aio.config import ConfigException

from fairlead_operator import metrics
from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.lease import Lease, LeaseLost
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.permissions import LEASE_NAME
from fairlead_operator.credentials.probe import ProbeKeyInvalid, probe_key
from fairlead_operator.engine import Operator
from fairlead_operator.observe.exposure import ExposureCheck
from fairlead_operator.observe.http import open_public_session, open_session
from fairlead_operator.probes import probes
from fairlead_operator.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

EXIT_SETTINGS = 2
EXIT_FAILED = 1


def main() -> int:
    """Run until told to stop. Returns the exit code: 0 after SIGTERM, 1 to be started anew, 2 for bad settings."""
    try:
        settings = Settings.from_environment(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"fairlead-operator: {error}\n")
        return EXIT_SETTINGS
    _configure_logs(settings)
    return asyncio.run(_main(settings))


def _configure_logs(settings: Settings) -> None:
    kopf.configure(log_format=kopf.LogFormat.JSON if settings.log_format == "json" else kopf.LogFormat.FULL)
    logging.getLogger().setLevel(settings.log_level.upper())
    # kopf silences asyncio, which reports what nobody caught.
    logging.getLogger("asyncio").propagate = True
    if settings.log_level != "debug":
        logging.getLogger("kopf").setLevel(logging.WARNING)
    # It warns that it does not handle signals, which is meant to be.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)


async def _main(settings: Settings) -> int:
    loop = asyncio.get_running_loop()
    work = asyncio.create_task(_run(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return 0
    except BaseExceptionGroup as failures:
        expected, unexpected = failures.split((LeaseLost, ApiError))
        if unexpected is not None:
            raise unexpected from None
        logger.error("ending: %s", _first(expected))  # noqa: TRY400 - a traceback would say nothing more
    except (ApiError, ProbeKeyInvalid, ConfigException) as error:
        logger.error("ending: %s", error)  # noqa: TRY400 - as above
    return EXIT_FAILED


def _first(failure: BaseException | None) -> BaseException | None:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


async def _run(settings: Settings) -> None:
    # A pod's name is enough: when its container starts anew, the former one is gone, and so it goes on at once.
    identity = settings.pod_name or f"{socket.gethostname()}-{secrets.token_hex(4)}"
    operator: Operator | None = None

    def missing() -> str:
        return "" if operator is None or operator.working.is_set() else "not everything is listed yet"

    async with contextlib.AsyncExitStack() as stack:
        api = await Api.connect()
        stack.push_async_callback(api.close)
        await stack.enter_async_context(probes(settings, missing))
        lease = Lease(api, settings.namespace, LEASE_NAME, identity)
        await lease.acquire()
        stack.push_async_callback(lease.release)
        session = await stack.enter_async_context(open_session())
        public = await stack.enter_async_context(open_public_session())
        metrics.LEADER.set(1)
        key = await probe_key(Objects(api), settings.namespace)
        check = ExposureCheck(public, settings)
        operator = Operator(settings, api, session, check_exposure=check, probe_key=key, identity=identity)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lease.hold())
            tasks.create_task(operator.run())
