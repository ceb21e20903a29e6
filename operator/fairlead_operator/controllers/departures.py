"""Ends pods at once that were told to end and take their time.

Such a pod lets calls and commands come to their end, and its kubelet brings it no new configuration any more. So it
does not learn by itself that a token was revoked, or that its host was suspended or deleted.
"""

import asyncio
import errno
import logging
from typing import Any

import aiohttp

from fairlead_operator.cluster.errors import ApiError
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.observe.http import timeout
from fairlead_operator.reconcile.labels import pod_selector, selector_text
from fairlead_operator.reconcile.objects import Key
from fairlead_sidecar.config import END_PATH, INTERNAL_PORT

logger = logging.getLogger(__name__)

WATCH_SECONDS = 6.0
"""How long pods are looked for: what was told to end just now shows a little later, and one that was told a moment
afterwards may not have loaded the new configuration before."""
LOOK_INTERVAL = 0.3
_ANSWER_SECONDS = 1.0


class Departures:
    """Hurries pods that leave.

    Args:
        objects: Lists pods.
        session: Asks sidecars.
    """

    def __init__(self, objects: Objects, session: aiohttp.ClientSession) -> None:
        self._objects = objects
        self._session = session
        self._until: dict[Key, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hurry(self, host: Key, probe_token: str) -> None:
        """Have all pods of a host end at once that are told to end, now or within the next seconds.

        Args:
            host: The host; it need not exist any more.
            probe_token: The operator's own credential there.
        """
        running = host in self._until
        self._until[host] = asyncio.get_running_loop().time() + WATCH_SECONDS
        if not running:
            task = asyncio.create_task(self._watch(host, probe_token), name=f"hurry {host}")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _watch(self, host: Key, probe_token: str) -> None:
        ended: set[str] = set()
        try:
            while True:
                leaving = [pod for pod in await self._leaving(host) if pod["metadata"]["uid"] not in ended]
                for pod in leaving:
                    if await self._end(pod, probe_token):
                        ended.add(pod["metadata"]["uid"])
                if asyncio.get_running_loop().time() > self._until[host] and not leaving:
                    return
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            del self._until[host]

    async def _leaving(self, host: Key) -> list[dict[str, Any]]:
        try:
            pods = await self._objects.pods(host.namespace, selector_text(pod_selector(host.name)))
        except ApiError as error:
            logger.warning("looking for pods of %s that take their time to end failed: %s", host, error)
            return []
        return [pod for pod in pods if "deletionTimestamp" in pod["metadata"] and pod["status"].get("podIP")]

    async def _end(self, pod: dict[str, Any], probe_token: str) -> bool:
        """Whether it was told, or is not there any more."""
        address = pod["status"]["podIP"]
        url = f"http://{f'[{address}]' if ':' in address else address}:{INTERNAL_PORT}{END_PATH}"
        headers = {"Authorization": f"Bearer {probe_token}"}
        try:
            async with self._session.post(url, headers=headers, timeout=timeout(_ANSWER_SECONDS)) as answer:
                # 409: the signal has not reached it yet. What else it says does not change by asking again.
                return answer.status != 409
        except (aiohttp.ClientError, TimeoutError) as error:
            if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno == errno.ECONNREFUSED:
                return True
            logger.warning("pod %s could not be told to end at once: %s", pod["metadata"]["name"], error)
            return False
