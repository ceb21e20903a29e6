"""Every tool call, from its name to its result."""

import logging
from typing import Any

import mcp_types as types

from fairlead_sidecar import schema
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.confirm import Confirmation, ForgedState, InputNeeded
from fairlead_sidecar.protocol.questions import Questions
from fairlead_sidecar.protocol.record import Record
from fairlead_sidecar.protocol.running import Runner, UnknownTool, find
from fairlead_sidecar.tools.catalogue import TOOLS
from fairlead_sidecar.tools.spec import Failed

logger = logging.getLogger(__name__)


class Calls:
    """Serves `tools/call`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._questions = Questions()

    async def call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> dict[str, Any] | types.InputRequiredResult:
        """Run a tool and write its audit line, however it ends."""
        with self._runner.recorder.recording(ctx, params.name) as record:
            return await self._checked_call(ctx, params, record)

    async def _checked_call(
        self, ctx: Context, params: types.CallToolRequestParams, record: Record
    ) -> dict[str, Any] | types.InputRequiredResult:
        turn = self._runner.admit(ctx, record)
        host = turn.active.config.name
        if params.name in TOOLS:
            record.label = params.name
        try:
            tool = find(turn.active, params.name)
            record.label = tool.label
            confirm = Confirmation(ctx, params, turn.caller.owner, self._questions, record.facts)
            result = await self._runner.run(turn, tool, params.arguments, confirm)
        except InputNeeded as needed:
            record.decision, record.outcome = "ask", "input_required"
            return needed.result
        except Failed as failure:
            record.outcome = failure.error.code
            return schema.failed(failure.error, host, failure.result)
        except FairleadError as error:
            self._runner.failed(record, error)
            return schema.failed(error, host)
        except UnknownTool:
            record.outcome = "unknown_tool"
            raise
        except ForgedState:
            self._runner.recorder.deny(record, "forged_state")
            raise
        except Exception:
            # Nothing of an unforeseen error's text goes out: it may hold what the caller must not see.
            logger.exception("The tool %s failed unexpectedly", record.label)
            return schema.failed(FairleadError("The tool failed unexpectedly."), host)
        record.outcome = "ok"
        return schema.succeeded(result)
