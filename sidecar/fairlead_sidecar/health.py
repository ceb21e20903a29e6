"""The internal application: health, status and metrics, for the kubelet, the operator and Prometheus.

`POST /end`, with the operator's probe credential: a pod that leaves ends at once, whatever is still under way.
"""

import prometheus_client
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fairlead_sidecar.access.grants import AddressRefused, Unauthenticated
from fairlead_sidecar.config import END_PATH
from fairlead_sidecar.sidecar import Sidecar

MAX_WAIT = 60.0
"""Longest long poll of `/statusz`, in seconds."""


def create_internal_app(sidecar: Sidecar) -> Starlette:
    """The application of the internal port; never reachable from outside the cluster."""

    async def healthz(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        # Independent of the host: with the host down, agents still get a named error from a ready endpoint.
        if sidecar.ready:
            return JSONResponse({"status": "ok"})
        why = "shutting down" if sidecar.leaving or sidecar.draining else "no configuration was loaded yet"
        return JSONResponse({"status": "not ready", "message": why}, status_code=503)

    async def statusz(request: Request) -> Response:
        after = request.query_params.get("after")
        try:
            timeout = float(request.query_params.get("timeout", 0))
        except ValueError:
            timeout = -1.0
        if not 0 <= timeout <= MAX_WAIT:
            message = f"timeout is a number of seconds from 0 to {MAX_WAIT:g}"
            return JSONResponse({"error": "bad_request", "message": message}, status_code=400)
        status = sidecar.status() if after is None else await sidecar.status_after(after, timeout)
        return JSONResponse(status.model_dump(mode="json"))

    async def metrics(_request: Request) -> Response:
        return Response(
            prometheus_client.generate_latest(sidecar.metrics.registry),
            media_type=prometheus_client.CONTENT_TYPE_LATEST,
        )

    async def end(request: Request) -> Response:
        # Kubelets don't tell a pod that ends of another configuration: the operator tells it of what was revoked.
        active = sidecar.active
        try:
            caller = active.grants.authenticate(request.headers.getlist("authorization")) if active else None
        except (Unauthenticated, AddressRefused):
            caller = None
        if caller is None or not caller.is_probe:
            return JSONResponse({"error": "unauthorized", "message": "Only the operator may."}, status_code=401)
        if not sidecar.leaving:
            return JSONResponse({"error": "conflict", "message": "This pod was not told to end."}, status_code=409)
        sidecar.hurry.set()
        return Response(status_code=202)

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/statusz", statusz),
            Route("/metrics", metrics),
            Route(END_PATH, end, methods=["POST"]),
        ]
    )
