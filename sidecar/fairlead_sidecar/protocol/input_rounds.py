"""Questions that a server of the modern protocol asks in its result, put to a client that can be asked directly."""

import asyncio

from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from mcp_types.methods import is_input_required

from fairlead_sidecar.protocol.interaction import NEEDED, Conversation
from fairlead_sidecar.upstream.session_calls import MAX_QUESTIONS
from fairlead_sidecar.upstream.spec import Json, Session

MOST_ROUNDS = 10
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.25
"""Seconds before a request is sent again that was answered with nothing but a state."""


async def answered_here(session: Session, method: str, params: Json, conversation: Conversation, result: Json) -> Json:
    """Ask the client for what the result wants, and send the request again with it, until there is a real result.

    Raises:
        MCPError: The client refused, or there is no end of questions.
    """
    pause = FIRST_PAUSE
    for _ in range(MOST_ROUNDS):
        if not is_input_required(result):
            return result
        again = {key: value for key, value in params.items() if key not in {"inputResponses", "requestState"}}
        if "requestState" in result:
            again["requestState"] = result["requestState"]
        requests = result.get("inputRequests")
        if isinstance(requests, dict) and len(requests) > MAX_QUESTIONS:
            raise MCPError(INTERNAL_ERROR, f"The server asked more than {MAX_QUESTIONS} questions at once.")
        if isinstance(requests, dict) and requests:
            again["inputResponses"] = await _answers(requests, conversation)
        else:
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        result = await session.request(method, again, conversation)
    if is_input_required(result):
        raise MCPError(INTERNAL_ERROR, f"The server asked for more input {MOST_ROUNDS} times.")
    return result


async def _answers(requests: Json, conversation: Conversation) -> Json:
    async def answer(request: object) -> Json:
        asked = request if isinstance(request, dict) else {}
        if asked.get("method") not in NEEDED:
            raise MCPError(INTERNAL_ERROR, "The server asked for something that no client has.")
        return await conversation.ask(asked["method"], asked.get("params"))

    tasks = {name: asyncio.ensure_future(answer(request)) for name, request in requests.items()}
    try:
        await asyncio.gather(*tasks.values())
    finally:
        for task in tasks.values():
            task.cancel()
    return {name: task.result() for name, task in tasks.items()}
