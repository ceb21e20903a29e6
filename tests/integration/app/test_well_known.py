"""Documents by which clients learn how to log in: there are none, and a client must hear so without a token."""

import httpx
import pytest

from fairlead_sidecar import tokens
from tests.integration.app.endpoint import PATH, RunningEndpoint

DOCUMENTS = ("oauth-protected-resource", "oauth-authorization-server", "openid-configuration")


@pytest.mark.parametrize("document", DOCUMENTS)
async def test_a_document_is_not_found_wherever_clients_look_for_it(hostless: RunningEndpoint, document: str) -> None:
    places = (
        f"/.well-known/{document}",
        f"/.well-known/{document}{PATH}",
        f"/.well-known/{document}{PATH}/mcp",
        f"{PATH}/mcp/.well-known/{document}",
    )
    denials = len(hostless.audit("denial"))
    strangers = {"Authorization": f"Bearer {tokens.mint()}"}
    async with httpx.AsyncClient() as http:
        for place in places:
            for headers in ({}, strangers, hostless.bearer()):
                answer = await http.get(hostless.origin + place, headers=headers)
                assert (answer.status_code, answer.json()["error"]) == (404, "not_found"), place
                assert "www-authenticate" not in answer.headers
                assert answer.headers["fairlead-instance"] == hostless.config.instance
            assert (await http.head(hostless.origin + place)).status_code == 404
    assert len(hostless.audit("denial")) == denials


async def test_nothing_else_below_well_known_is_open(hostless: RunningEndpoint) -> None:
    async with httpx.AsyncClient() as http:
        for place in ("/.well-known/security.txt", "/.well-known", f"{PATH}/well-known/{DOCUMENTS[0]}"):
            assert (await http.get(hostless.origin + place)).status_code == 401
