"""Results that fit into one message."""

import json
from collections.abc import Callable
from typing import TypeVar

from fairlead_sidecar.tools.spec import Result

MESSAGE_BYTES = 1_000_000
"""Largest result on the wire: clients of the Python SDK take no event above 1 MiB, and give the whole call up."""
_LEAST = 512

_R = TypeVar("_R", bound=Result)


def fitting(build: Callable[[int], _R], limit: int, *, least: int = _LEAST) -> _R:
    """The result that `build` makes of at most `limit` bytes or entries, of fewer where that makes too large a message.

    A size on the wire can't be told from the number of bytes: text is escaped, and once more in the copy for clients
    that know no structured results.
    """
    result = build(limit)
    if _surely_fits(result):
        return result
    while (size := wire_bytes(result)) > MESSAGE_BYTES and limit > least:
        limit = max(least, int(limit * 0.95 * MESSAGE_BYTES / size))
        result = build(limit)
    return result


def _surely_fits(result: Result) -> bool:
    # Escapes make at most six bytes of one, in each of the two copies. To encode it only to measure it is what costs.
    return 12 * len(result.model_dump_json()) <= MESSAGE_BYTES


def wire_bytes(result: Result) -> int:
    """Bytes of a result as the protocol sends it: structured, and the same as JSON in a JSON string."""
    structured = result.model_dump(mode="json")
    return len(json.dumps(structured)) + len(json.dumps(json.dumps(structured, ensure_ascii=False)))
