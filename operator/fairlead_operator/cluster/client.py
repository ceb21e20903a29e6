"""A thin way to the API server: plain dicts in and out, through the official client's connection and login.

The typed models and the dynamic client are left aside: dicts are what the reconcilers make, and cost least.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import config as kube_config
from kubernetes.aio.client import ApiClient, Configuration

from fairlead_operator.cluster.errors import Unavailable, api_error

JSON = "application/json"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"
REQUEST_TIMEOUT = 20.0
"""Seconds that one ordinary request may take."""
_MAX_CONNECTIONS = 64


class Api:
    """A connection pool to the API server."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    @classmethod
    async def connect(cls) -> Self:
        """Log in with the pod's service account, or else with the kubeconfig.

        Raises:
            kubernetes.aio.config.ConfigException: There is neither.
        """
        configuration = Configuration()
        configuration.connection_pool_maxsize = _MAX_CONNECTIONS
        try:
            kube_config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # the library has no types here
        except kube_config.ConfigException:
            await kube_config.load_kube_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # as above
        client = ApiClient(configuration=configuration)
        client.user_agent = "fairlead-operator"
        return cls(client)

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()  # type: ignore[no-untyped-call]  # as above

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
        accept: str = JSON,
        timeout: float = REQUEST_TIMEOUT,
    ) -> dict[str, Any]:
        """One request and its answer.

        Raises:
            ApiError: The API server refused it or did not answer.
        """
        limit = aiohttp.ClientTimeout(total=timeout)
        async with self._open(
            method, path, query, body=body, content_type=content_type, accept=accept, limit=limit
        ) as response:
            try:
                answer: dict[str, Any] = json.loads(await response.read())
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Unavailable(0, "NoAnswer", f"{method} {path}: {error!r}") from error
            return answer

    async def watch(
        self, path: str, query: Mapping[str, str], accept: str, *, silence: float
    ) -> AsyncIterator[dict[str, Any]]:
        """The events of a watch, until the server ends it.

        Args:
            path: What to watch.
            query: Its parameters; `watch=true` is added.
            accept: The form of the objects.
            silence: Seconds without a byte after which the connection counts as dead.

        Raises:
            ApiError: The API server refused or broke it; `Gone` when it must be begun anew.
        """
        limit = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        async with self._open(
            "GET", path, {**query, "watch": "true"}, body=None, content_type=JSON, accept=accept, limit=limit
        ) as response:
            try:
                async for line in response.content:
                    event: dict[str, Any] = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise api_error(status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                    yield event
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise Unavailable(0, "WatchBroken", f"{path}: {error!r}") from error

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        *,
        body: Any,
        content_type: str,
        accept: str,
        limit: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        method, url, headers, _, _ = await self._client.param_serialize(
            method,
            f"{path}?{urlencode(query)}" if query else path,
            header_params={"Accept": accept, "Content-Type": content_type},
            auth_settings=["BearerToken"],
        )
        try:
            answer = await self._client.call_api(method, url, headers, body, _request_timeout=limit)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(0, "NoAnswer", f"{method} {path}: {error!r}") from error
        response: aiohttp.ClientResponse = answer.response
        async with response:
            if not response.ok:
                raise await _refusal(response, f"{method} {path}")
            yield response


async def _refusal(response: aiohttp.ClientResponse, what: str) -> Exception:
    try:
        status = json.loads(await response.read())
        # Some of its answers name no reason.
        reason, message = str(status.get("reason", response.reason)), str(status["message"])
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError, TypeError, AttributeError):
        # Not the API server's own form: something in front of it answered.
        reason, message = response.reason or "", "no details"
    return api_error(response.status, reason, f"{what}: {message}")
