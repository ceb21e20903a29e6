"""Documents that tell clients how to log in: asked for without a token, and answered without one.

There are none yet. A clear 404 sends a client on with the token that it has; the 401 of everything else would make it
believe that the document itself needs a login.
"""

from starlette.requests import Request
from starlette.responses import Response

from fairlead_sidecar.access import responses
from fairlead_sidecar.config import WELL_KNOWN, WELL_KNOWN_DOCUMENTS, SidecarConfig


def asked_for(request: Request) -> bool:
    """Whether it is about such a document.

    Clients look at the root of the host name, with the endpoint's path behind it (RFC 8414, RFC 9728), and some below
    the endpoint as well (OpenID Connect Discovery).
    """
    path: str = request.scope["path"]
    return any(f"{WELL_KNOWN}{document}" in path for document in WELL_KNOWN_DOCUMENTS)


def answer(config: SidecarConfig) -> Response:
    """What every such question gets."""
    message = "There is no such document: this endpoint takes the tokens of Fairlead's McpTokens, and no login."
    return responses.error(404, "not_found", message, {responses.INSTANCE_HEADER: config.instance})
