"""The audit trail: one JSON line for every call and every denial.

It says who, what, where, the decision, the outcome, how long, and the trace it belongs to. A command is written out,
because that is what an auditor asks for first; a long one is cut and named by its SHA-256 as well. File content and
credentials are never written, and what has the form of one of our tokens is blotted out of commands and paths.
"""

import hashlib
import json
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from starlette.requests import HTTPConnection

ADDRESS_KEY = "fairlead.address"
"""Where the gate leaves the client's address in the ASGI scope, where proxies are trusted to tell it."""
COMMAND_CHARACTERS = 4096
"""What is written of a command at most."""
_FIELD_CHARACTERS = 256
_written = json.JSONEncoder(separators=(",", ":")).encode
_TOKEN = re.compile(r"flt_([a-z2-7]{12}|probe)_[0-9A-Za-z]+")
_JWT = re.compile(r"eyJ[\w-]*\.eyJ[\w-]*\.[\w-]+", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")


class AuditLog:
    """Writes the trail to a stream, one line a record."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    def write(self, kind: str, record: Mapping[str, Any]) -> None:
        """Write one line; members that are None are left out.

        JSON in ASCII: no character that an agent sends can begin a line of its own.
        """
        line: dict[str, object] = {
            "log": "audit",
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "kind": kind,
        }
        line |= {key: _bounded(key, value) for key, value in record.items() if value is not None}
        if len(record.get("command") or "") > COMMAND_CHARACTERS:
            line["command_sha256"] = hashlib.sha256(record["command"].encode()).hexdigest()
        stream = self._stream or sys.stdout
        stream.write(_written(line) + "\n")
        stream.flush()


def peer(connection: HTTPConnection | None) -> dict[str, str | None]:
    """Where a request came from: the TCP peer, what a proxy claims in front of it (not to be trusted alone), and the
    client itself where trusted proxies told of it."""
    if connection is None:
        return {"address": None, "forwarded_for": None}
    client = connection.client
    return {
        "address": client.host if client else None,
        "forwarded_for": connection.headers.get("x-forwarded-for"),
        "client_address": connection.scope.get(ADDRESS_KEY),
    }


def trace_id(*traceparents: object) -> str:
    """The trace id of the first usable `traceparent` (W3C Trace Context), else a new one; 32 hex digits."""
    for traceparent in traceparents:
        match = _TRACEPARENT.fullmatch(traceparent) if isinstance(traceparent, str) else None
        if match is not None and set(match[1]) != {"0"}:
            return match[1]
    return secrets.token_hex(16)


def _bounded(key: str, value: object) -> object:
    if not isinstance(value, str):
        return value
    limit = COMMAND_CHARACTERS if key in {"command", "path"} else _FIELD_CHARACTERS
    if "flt_" in value:
        value = _TOKEN.sub(r"flt_\1_REDACTED", value)
    if ".eyJ" in value:
        value = _JWT.sub("JWT_REDACTED", value)
    return value[:limit]
