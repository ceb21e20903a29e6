"""Completion of paths while a person types them: in the URI of a file, and in a prompt's argument."""

import logging
import posixpath
from typing import Any

import mcp_types as types

from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol import resources
from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.running import Runner
from fairlead_sidecar.reload import Active

logger = logging.getLogger(__name__)

COMPLETE = "completion/complete"
MOST_VALUES = 100
"""The protocol's bound."""
MOST_ENTRIES = 2000
"""Entries of a directory that are looked at."""
_NOTHING = types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))


class Completions:
    """Serves `completion/complete`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def complete(self, ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        """What the path could be; nothing where it can't be told, for completion never fails a person's typing."""
        with self._runner.recorder.recording(ctx, COMPLETE) as record:
            record.label = COMPLETE
            turn = self._runner.admit(ctx, record)
            prefix = _path_prefix(params, turn.active)
            record.outcome = "ok"
            if prefix is None or not resources.served(turn.active, turn.caller):
                return _NOTHING
            typed = params.argument.value
            named = _named(turn.active, prefix, typed)
            if named is not None:
                return named
            parent = typed[: typed.rfind("/") + 1]
            given = {"path": (prefix + parent) or "~/", "limit": MOST_ENTRIES}
            try:
                listing = await resources.use(self._runner, turn, resources.LIST_TOOL, given)
            except FairleadError as error:
                self._runner.failed(record, error)
                return _NOTHING
            except Exception:
                record.outcome = FairleadError.code
                logger.exception("A completion failed unexpectedly")
                return _NOTHING
            return _completed(parent, typed, listing)


def _path_prefix(params: types.CompleteRequestParams, active: Active) -> str | None:
    """What stands before the typed value in the path; None where no path is typed."""
    if params.argument.name != "path":
        return None
    if isinstance(params.ref, types.ResourceTemplateReference):
        if params.ref.uri != resources.template(active.config):
            return None
        return "" if params.argument.value.startswith("~/") else "/"
    return "" if params.ref.name == "explain_log" else None


def _named(active: Active, prefix: str, typed: str) -> types.CompleteResult | None:
    """The readable directories that the policy names, while what is typed leads there and is not inside yet."""
    readable = active.config.policy.paths.read
    if readable is None:
        return None
    places = [place.rstrip("/") + "/" for place in readable]
    path = prefix + typed
    if any(path.startswith(place) for place in places):
        return None
    values = sorted(place.removeprefix(prefix) for place in places if place.startswith(path))
    more = len(values) > MOST_VALUES
    completion = types.Completion(values=values[:MOST_VALUES], total=len(values), has_more=more)
    return types.CompleteResult(completion=completion) if values else None


def _completed(parent: str, typed: str, listing: dict[str, Any]) -> types.CompleteResult:
    names = sorted(
        entry["name"] + ("/" if entry["type"] == "directory" else "")
        for entry in listing["entries"]
        if entry["name"].startswith(posixpath.basename(typed))
    )
    # Hidden files only to who asks for them.
    shown = [name for name in names if not name.startswith(".") or posixpath.basename(typed).startswith(".")]
    values = [parent + name for name in shown[:MOST_VALUES]]
    more = len(shown) > MOST_VALUES or bool(listing["truncated"])
    total = None if listing["truncated"] else len(shown)
    return types.CompleteResult(completion=types.Completion(values=values, total=total, has_more=more))
