"""The operator's own HTTP: probes for the kubelet, metrics for Prometheus, on two ports."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fairlead_operator.settings import Settings

_MetricsType = {"Content-Type": CONTENT_TYPE_LATEST}


@asynccontextmanager
async def probes(settings: Settings, ready: Callable[[], str]) -> AsyncIterator[None]:
    """Serve `/healthz`, `/readyz` and `/metrics`.

    Args:
        settings: Say on which ports.
        ready: What is still missing; empty when nothing is. A standby misses nothing.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        missing = ready()
        return web.Response(text=f"{missing or 'ok'}\n", status=503 if missing else 200)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers=_MetricsType)

    health_app = web.Application()
    health_app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz)])
    metrics_app = web.Application()
    metrics_app.add_routes([web.get("/metrics", metrics)])
    runners = []
    try:
        for app, port in ((health_app, settings.health_port), (metrics_app, settings.metrics_port)):
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, port=port).start()
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
