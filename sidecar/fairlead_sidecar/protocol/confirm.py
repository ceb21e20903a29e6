"""Asking the person behind a client whether a call may go on (MCP elicitation), in both protocol eras.

Whoever can't be asked, says no, looks away or takes too long has not agreed: the call is refused.
"""

from typing import Any

import mcp_types as types
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.message import ServerMessageMetadata
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from fairlead_sidecar.errors import ConfirmationRefused
from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.questions import TIMEOUT, InvalidRequestState, Questions, Subject

KEY = "confirm"
"""The name of our question among a call's input requests."""
QUESTION_CHARACTERS = 8000
"""Longest question; what is beyond could hide what it is about, so that there is none."""


class InputNeeded(Exception):
    """The call has to be sent again together with a person's answer; raised through the tool."""

    def __init__(self, result: types.InputRequiredResult) -> None:
        super().__init__("a person has to be asked")
        self.result = result


class ForgedState(MCPError):
    """The state that came with a call was not made here."""

    def __init__(self) -> None:
        super().__init__(code=types.INVALID_PARAMS, message="Invalid requestState.")


class Confirmation:
    """`Call.confirm` for one call.

    Args:
        owner: Of the caller; a rotated token is the same owner's.
        facts: Of the call's audit line; how a question was answered goes there.

    Raises:
        ForgedState: The state that came with the call was not made here.
    """

    def __init__(
        self,
        ctx: Context,
        params: types.CallToolRequestParams,
        owner: str,
        questions: Questions,
        facts: dict[str, Any],
    ) -> None:
        self._ctx = ctx
        self._subject = Subject.of(owner, params.name, params.arguments)
        self._questions = questions
        self._facts = facts
        self._agreed: tuple[str, ...] = ()
        self._question: str | None = None
        self._action = "cancel"
        if params.request_state is None:
            return
        try:
            asked = questions.take(params.request_state, self._subject)
        except InvalidRequestState:
            raise ForgedState from None
        if asked is not None:
            self._question, self._agreed = asked.question, asked.agreed
            answer = (params.input_responses or {}).get(KEY)
            if not asked.in_time:
                self._action = "timeout"
            elif isinstance(answer, types.ElicitResult):
                self._action = answer.action

    async def __call__(self, question: str) -> None:
        """Ask; return only if they agreed.

        Raises:
            ConfirmationRefused: They did not, or can't be asked.
            InputNeeded: They will be asked, and the call comes again.
        """
        question = _readable(question)
        if question in self._agreed:
            return
        if question == self._question:
            action = self._action
        elif not _can_ask(self._ctx):
            action = "unsupported"
        elif len(question) > QUESTION_CHARACTERS:
            action = "too_long"
        elif self._ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            self._facts["confirmation"] = "asked"
            state = self._questions.ask(self._subject, question, self._agreed)
            raise InputNeeded(types.InputRequiredResult(input_requests={KEY: _request(question)}, request_state=state))
        else:
            action = await self._asked(question)
        self._facts["confirmation"] = action
        if action != "accept":
            raise ConfirmationRefused(_REFUSALS[action])
        self._agreed = (*self._agreed, question)

    async def _asked(self, question: str) -> str:
        try:
            answer = await self._ctx.session.send_request(
                _request(question),
                types.ElicitResult,
                request_read_timeout_seconds=TIMEOUT,
                metadata=ServerMessageMetadata(related_request_id=self._ctx.request_id),
            )
        except NoBackChannelError:
            return "unsupported"
        except MCPError as error:
            return "timeout" if error.error.code == types.REQUEST_TIMEOUT else "failed"
        except ValidationError:
            return "failed"
        return answer.action


_REFUSALS = {
    "decline": "The person who was asked declined; nothing was done.",
    "cancel": "The person who was asked gave no answer; nothing was done.",
    "timeout": f"Nobody answered within {TIMEOUT:g} seconds; nothing was done.",
    "failed": "The client failed to ask the person; nothing was done.",
    "unsupported": "A person has to agree to this, and this client has no way to ask them.",
    "too_long": "A person has to agree to this, and it is too long for them to read.",
}


def _request(question: str) -> types.ElicitRequest:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return types.ElicitRequest(params=types.ElicitRequestFormParams(message=question, requested_schema=schema))


def _can_ask(ctx: Context) -> bool:
    capabilities = ctx.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    # An empty declaration means forms, the only mode there was at first.
    return elicitation is not None and (elicitation.form is not None or elicitation.url is None)


def _readable(question: str) -> str:
    """The question without characters that could make it look like another one (controls, bidi, invisible ones)."""
    return "".join(
        character if character.isprintable() or character == "\n" else repr(character)[1:-1] for character in question
    )
