"""Events: what `kubectl describe` shows below an object. Written on transitions only."""

import logging
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime

from fairlead_api.base import API_VERSION
from fairlead_operator.cluster.client import Api
from fairlead_operator.cluster.errors import ApiError, Terminating
from fairlead_operator.cluster.resources import EVENTS
from fairlead_operator.reconcile.objects import Authority, Host, Token
from fairlead_operator.reconcile.transitions import Announcement

logger = logging.getLogger(__name__)

CONTROLLER = "fairlead.dev/operator"
_NOTE_LIMIT = 1000
"""The API server takes 1024 bytes."""
QUIET_FOR = 600.0
"""Seconds for which the same is not told again of a subject that comes and goes."""


class Told:
    """What was told of late, so that what flaps does not fill the list of Events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[tuple[str, str], float] = {}

    def again(self, uid: str, subject: str) -> bool:
        """Whether this was told of the object within the last minutes; from now on it was."""
        now = self._clock()
        self._until = {told: until for told, until in self._until.items() if until > now}
        if (uid, subject) in self._until:
            return True
        self._until[uid, subject] = now + QUIET_FOR
        return False


class Events:
    """Writes Events; one that can't be written is logged and given up, since the condition says the same."""

    def __init__(self, api: Api, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._told = Told()

    async def announce(self, kind: str, about: Host | Token | Authority, announcement: Announcement) -> None:
        """Write one Event about an object of ours, unless it would repeat what was told of its subject just now."""
        if announcement.subject and self._told.again(about.uid, announcement.subject):
            return
        note = announcement.message.encode()[:_NOTE_LIMIT].decode(errors="ignore")
        body = {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {
                "name": f"{about.key.name}.{secrets.token_hex(8)}",
                "namespace": about.key.namespace,
            },
            "eventTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "type": announcement.type,
            "reason": announcement.reason,
            "note": note,
            "action": "Reconcile",
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance,
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": kind,
                "name": about.key.name,
                "namespace": about.key.namespace,
                "uid": about.uid,
            },
        }
        try:
            await self._api.request("POST", EVENTS.path(about.key.namespace), body=body)
        except Terminating:
            return
        except ApiError as error:
            logger.warning("an Event about %s %s could not be written: %s", kind, about.key, error)
