"""Which protocol version is spoken with a server, and what requests look like in it."""

from typing import Any

import pytest
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.negotiation import ALL_CAPABILITIES, Agreement, dressed, negotiate
from fairlead_sidecar.upstream.spec import Json

UNSUPPORTED = -32022
DISCOVERED: Json = {
    "supportedVersions": ["2026-07-28"],
    "capabilities": {"tools": {}},
    "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s", "version": "1"}},
}
INITIALIZED: Json = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "serverInfo": {"name": "s", "version": "1"},
    "instructions": "Ask.",
}
MODERN = Agreement("2026-07-28", {}, {}, "")
HANDSHAKE = Agreement("2025-11-25", {}, {}, "")


class Server:
    """Gives the answers it is made with, in order, and remembers what it was asked."""

    def __init__(self, *answers: tuple[str, Json | MCPError]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, Json]] = []
        self.told: list[str] = []

    async def send(self, method: str, params: Json, options: CallOptions) -> Json:
        self.asked.append((method, params))
        expected, answer = self.answers.pop(0)
        assert method == expected
        if isinstance(answer, MCPError):
            raise answer
        return answer

    async def notify(self, method: str, params: Json | None, options: CallOptions) -> None:
        self.told.append(method)

    async def agree(self, probe_timeout: float | None = 1) -> Agreement:
        return await negotiate(self.send, self.notify, capabilities=ALL_CAPABILITIES, probe_timeout=probe_timeout)


def unsupported(*versions: str) -> MCPError:
    return MCPError(UNSUPPORTED, "No", {"supported": list(versions), "requested": "x"})


async def test_a_modern_server_is_spoken_to_without_a_handshake() -> None:
    server = Server(("server/discover", DISCOVERED))
    agreement = await server.agree()
    assert (agreement.version, agreement.modern) == ("2026-07-28", True)
    assert agreement.server_info == {"name": "s", "version": "1"}
    assert server.told == []


@pytest.mark.parametrize(
    "refusal",
    [
        MCPError(-32601, "Method not found"),
        MCPError(-32001, "Timed out"),
        unsupported("2025-11-25"),
        {"supportedVersions": ["2025-11-25"], "capabilities": {}},
        {"something": "else"},
    ],
)
async def test_any_other_answer_leads_to_the_handshake(refusal: Json | MCPError) -> None:
    server = Server(("server/discover", refusal), ("initialize", INITIALIZED))
    agreement = await server.agree()
    assert (agreement.version, agreement.modern, agreement.instructions) == ("2025-06-18", False, "Ask.")
    assert server.asked[-1][1]["protocolVersion"] == "2025-11-25"
    assert server.asked[-1][1]["capabilities"] == ALL_CAPABILITIES
    assert server.told == ["notifications/initialized"]


async def test_a_server_that_is_not_to_be_probed_gets_the_handshake_only() -> None:
    server = Server(("initialize", INITIALIZED))
    assert not (await server.agree(probe_timeout=None)).modern


async def test_a_modern_server_that_was_slow_to_answer_the_probe_is_asked_again() -> None:
    server = Server(
        ("server/discover", MCPError(-32001, "Timed out")),
        ("initialize", unsupported("2026-07-28")),
        ("server/discover", DISCOVERED),
    )
    assert (await server.agree()).modern


async def test_a_server_without_a_version_in_common_breaks_the_protocol() -> None:
    with pytest.raises(ProtocolError, match="2099-01-01"):
        await Server(("server/discover", unsupported("2099-01-01"))).agree()
    with pytest.raises(ProtocolError, match="1999"):
        await Server(("initialize", {**INITIALIZED, "protocolVersion": "1999"})).agree(None)
    with pytest.raises(ProtocolError, match="no capabilities"):
        await Server(("initialize", {"protocolVersion": "2025-06-18"})).agree(None)
    with pytest.raises(ProtocolError, match="Too late"):
        await Server(("initialize", MCPError(-32603, "Too late"))).agree(None)


CLIENT_META = {
    "progressToken": "theirs",
    "io.modelcontextprotocol/protocolVersion": "their version",
    "io.modelcontextprotocol/clientInfo": {"name": "their client"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    "io.modelcontextprotocol/logLevel": "debug",
    "example.com/trace": 7,
}


def dress(agreement: Agreement, method: str, params: Json | None, **more: Any) -> tuple[Json | None, CallOptions]:
    return dressed(agreement, method, params, **{"capabilities": {}, **more})


def test_a_handshake_request_carries_nothing_of_another_hops_envelope() -> None:
    clad, options = dress(HANDSHAKE, "tools/call", {"name": "a", "arguments": {"b": 1}, "_meta": CLIENT_META})
    assert clad == {"name": "a", "arguments": {"b": 1}, "_meta": {"example.com/trace": 7}}
    assert options["headers"] == {"mcp-protocol-version": "2025-11-25"}
    assert dress(HANDSHAKE, "tools/list", None)[0] is None


def test_a_modern_request_carries_our_envelope_with_what_its_client_can_do() -> None:
    clad, options = dress(
        MODERN,
        "tools/call",
        {"name": "a", "_meta": CLIENT_META},
        capabilities={"elicitation": {"form": {}}, "extensions": {"x": {}}, "sampling": None},
        progress_token=5,
    )
    assert clad is not None
    meta = clad["_meta"]
    assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert meta["io.modelcontextprotocol/clientInfo"]["name"] == "fairlead"
    assert meta["io.modelcontextprotocol/clientCapabilities"] == {"elicitation": {"form": {}}}
    assert meta["io.modelcontextprotocol/logLevel"] == "debug"
    assert meta["progressToken"] == 5
    assert options["headers"] == {
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "a",
    }


def test_arguments_that_a_tool_wants_in_headers_are_put_there() -> None:
    _, options = dress(
        MODERN,
        "tools/call",
        {"name": "a", "arguments": {"region": "north"}},
        param_headers={"a": {("region",): "Region"}},
    )
    assert options["headers"]["Mcp-Param-Region"] == "north"


def test_what_the_caller_gave_is_not_changed() -> None:
    params: Json = {"name": "a", "_meta": {"progressToken": 1}}
    dress(MODERN, "tools/call", params, progress_token=2)
    assert params == {"name": "a", "_meta": {"progressToken": 1}}
