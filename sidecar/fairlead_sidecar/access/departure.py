"""What a sidecar that leaves still takes: another pod is there for what is new, this one ends what it has begun."""

from starlette.requests import Request
from starlette.responses import JSONResponse

from fairlead_sidecar.access import responses
from fairlead_sidecar.access.checks import Place, Refused, Route
from fairlead_sidecar.access.work import Stream

RESUMED_FROM = "last-event-id"
LISTEN = "subscriptions/listen"
_NOTIFICATIONS = "notifications/"


def stream_of(request: Request, place: Place, method: str | None) -> Stream | None:
    """What kind of stream the exchange is; None for one that ends with its answer.

    Args:
        request: The request.
        place: What its path leads to.
        method: The JSON-RPC method of a POST.
    """
    if request.method == "GET":
        carries_answers = place.route is Route.SSE or RESUMED_FROM in request.headers
        return Stream.ANSWERS if carries_answers else Stream.NOTICES
    return Stream.NOTICES if method == LISTEN else None


def check_begins_nothing(request: Request, method: str | None) -> None:
    """Let through what belongs to a call under way: its cancellation, an answer to its question, its stream again.

    Raises:
        Refused: It would begin something.
    """
    if request.method == "POST":
        begins = method is not None and not method.startswith(_NOTIFICATIONS)
    else:
        begins = request.method != "DELETE" and RESUMED_FROM not in request.headers
    if begins:
        raise Refused("unavailable", unavailable("is shutting down"))


def unavailable(state: str) -> JSONResponse:
    """503 for a sidecar that can't take the request, though another one may soon."""
    return responses.error(503, "unavailable", f"The sidecar {state}.", {"Retry-After": "1"})
