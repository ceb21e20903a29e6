"""One call's way into the audit trail and the metrics, however it ends."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fairlead_sidecar import audit
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.errors import Cancelled, FairleadError
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.tools.redact import Redactor


@dataclass
class Record:
    """What is known of a call so far."""

    tool: str
    """As it was asked for; a method's name where it is no tool."""
    label: str = "unknown"
    """What metrics call it: one of a bounded set."""
    server: str | None = None
    """The upstream server that answers it; None where Fairlead does."""
    started: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    decision: str = "allow"
    """allow, deny, or ask where a person has to agree first."""
    outcome: str = FairleadError.code
    """Until another one is known."""
    redactor: Redactor = field(default_factory=Redactor)
    """Masks what the facts say."""


class Recorder:
    """Writes one line for each call."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._sidecar = callers.sidecar

    @contextlib.contextmanager
    def recording(self, ctx: Context, tool: str) -> Iterator[Record]:
        """Account for the call that runs in the block."""
        record = Record(tool)
        try:
            yield record
        except asyncio.CancelledError:
            record.outcome = (self._callers.revoked(record.caller) or Cancelled).code
            raise
        finally:
            self._write(ctx, record)

    def deny(self, record: Record, reason: str) -> None:
        """The call is refused."""
        record.decision, record.outcome = "deny", reason
        self._sidecar.metrics.denial(reason)

    def _write(self, ctx: Context, record: Record) -> None:
        seconds = time.monotonic() - record.started
        if record.server is None:
            self._sidecar.metrics.call(record.label, record.outcome, seconds)
        else:
            self._sidecar.metrics.server_call(record.server, record.label, record.outcome, seconds)
        caller, active, request = record.caller, self._sidecar.active, ctx.request
        client = ctx.session.client_params.client_info if ctx.session.client_params else None
        in_meta = (ctx.meta or {}).get("traceparent")
        self._sidecar.audit.write(
            "call",
            {
                "subject": caller.subject if caller else None,
                "token_id": caller.token_id if caller else None,
                "client": client.name if client else None,
                "client_version": client.version if client else None,
                **audit.peer(request),
                "namespace": active.config.namespace if active else None,
                "host": active.config.name if active else None,
                "certificate_serial": self._sidecar.link.certificate_serial if self._sidecar.link else None,
                "tool": record.tool,
                **record.redactor.structure(record.facts),
                "decision": record.decision,
                "outcome": record.outcome,
                "duration_seconds": round(seconds, 6),
                "trace_id": audit.trace_id(in_meta, request.headers.get("traceparent") if request else None),
            },
        )
