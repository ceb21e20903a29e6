"""What the API server may answer instead of an object."""


class ApiError(Exception):
    """A request that failed; `status` is the HTTP status, 0 where there was no answer at all."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{reason} ({status}): {message}")
        self.status = status
        self.reason = reason
        self.message = message


class NotFound(ApiError):
    """404: no such object, or its namespace is gone."""


class Conflict(ApiError):
    """409: it exists already, was changed meanwhile, or is another object than the one meant."""


class Gone(ApiError):
    """410: the version to go on from is no longer kept; list anew."""


class Forbidden(ApiError):
    """403: no permission, a quota is used up, or an admission rule refuses it."""


class Terminating(Forbidden):
    """403: the namespace is about to go, and nothing new can be made there."""


class Invalid(ApiError):
    """422 or 400, or 500 for a field that is not in the schema: the API server does not accept the object."""


class Unavailable(ApiError):
    """No answer, or one that asks to come back later."""


_BY_STATUS: dict[int, type[ApiError]] = {
    400: Invalid,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
    429: Unavailable,
}


def api_error(status: int, reason: str, message: str) -> ApiError:
    """The error for an HTTP status."""
    if status == 403 and "because it is being terminated" in message:
        return Terminating(status, reason, message)
    if status == 500 and "failed to create typed patch object" in message:
        # So server-side apply says that it does not know a field: trying again would not help.
        return Invalid(status, reason, message)
    kind = _BY_STATUS.get(status, Unavailable if status == 0 or status >= 500 else ApiError)
    return kind(status, reason, message)
