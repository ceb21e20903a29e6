"""When RemoteHosts become Ready, seen as a watcher of the API sees it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

from kubernetes.aio import client, config, watch

TIMEOUT_SECONDS = 180


class ReadyWatch:
    """Remembers the moment at which each host was seen Ready for the first time, in `time.monotonic()` seconds."""

    def __init__(self) -> None:
        self.ready_at: dict[str, float] = {}
        self._changed = asyncio.Event()

    async def follow(self, api: Any, namespace: str) -> None:
        """Watch until cancelled."""
        listing = client.CustomObjectsApi(api).list_namespaced_custom_object
        while True:
            stream = watch.Watch().stream  # type: ignore[no-untyped-call]  # the client's watch has no types
            async for event in stream(  # type: ignore[no-untyped-call]  # as above
                listing, group="fairlead.dev", version="v1alpha1", namespace=namespace, plural="remotehosts"
            ):
                self._see(event["type"], event["object"])

    def _see(self, kind: str, host: Any) -> None:
        name = host["metadata"]["name"]
        if kind == "DELETED":
            self.ready_at.pop(name, None)
        elif name not in self.ready_at and _is_ready(host):
            self.ready_at[name] = time.monotonic()
            self._changed.set()

    async def until_ready(self, *names: str) -> dict[str, float]:
        """The moments at which these hosts became Ready.

        Raises:
            TimeoutError: Not all of them did.
        """
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while not self.ready_at.keys() >= set(names):
                self._changed.clear()
                await self._changed.wait()
        return {name: self.ready_at[name] for name in names}


@contextlib.asynccontextmanager
async def watching(kubeconfig: str, namespace: str) -> AsyncIterator[ReadyWatch]:
    """A watch of a namespace's hosts."""
    settings = client.Configuration()
    load = config.load_kube_config
    await load(config_file=kubeconfig, client_configuration=settings)  # type: ignore[no-untyped-call]  # as above
    async with client.ApiClient(settings) as api:
        seen = ReadyWatch()
        following = asyncio.create_task(seen.follow(api, namespace))
        try:
            yield seen
        finally:
            following.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await following


def _is_ready(host: Any) -> bool:
    generation = host["metadata"]["generation"]
    return any(
        condition["type"] == "Ready"
        and condition["status"] == "True"
        and condition.get("observedGeneration") == generation
        for condition in host.get("status", {}).get("conditions", ())
    )
