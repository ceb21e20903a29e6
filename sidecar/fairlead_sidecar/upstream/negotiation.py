"""Agreeing on a protocol version with an upstream server, and dressing requests for the version agreed on."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    mcp_param_headers,
)
from mcp_types import (
    CLIENT_CAPABILITIES_META_KEY,
    CLIENT_INFO_META_KEY,
    LOG_LEVEL_META_KEY,
    PROTOCOL_VERSION_META_KEY,
    SERVER_INFO_META_KEY,
    UNSUPPORTED_PROTOCOL_VERSION,
)
from mcp_types.version import (
    HANDSHAKE_PROTOCOL_VERSIONS,
    LATEST_HANDSHAKE_VERSION,
    LATEST_MODERN_VERSION,
    MODERN_PROTOCOL_VERSIONS,
)

from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.upstream.errors import ProtocolError
from fairlead_sidecar.upstream.spec import Json

PROBE_TIMEOUT = 10.0
"""Seconds that a server may leave `server/discover` unanswered before it is taken for one of the handshake era."""
ALL_CAPABILITIES: Json = {"elicitation": {"form": {}, "url": {}}, "sampling": {}, "roots": {"listChanged": True}}
"""What Fairlead can pass on to some client."""
_PASSED_ON = tuple(ALL_CAPABILITIES)
_ENVELOPE = (PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY)

ParamHeaders = Mapping[str, Mapping[tuple[str, ...], str]]
"""Tool name -> where its arguments have values that are repeated in HTTP headers -> the header's name."""


@dataclass(frozen=True)
class Agreement:
    """What came out of the negotiation."""

    version: str
    capabilities: Json
    """Of the server."""
    server_info: Json
    instructions: str

    @property
    def modern(self) -> bool:
        """Whether each request carries the envelope, instead of one handshake for all."""
        return self.version in MODERN_PROTOCOL_VERSIONS


Send = Callable[[str, Json, CallOptions], Awaitable[Json]]
Notify = Callable[[str, Json | None, CallOptions], Awaitable[None]]


def passed_on(capabilities: Json) -> Json:
    """Those of a client's capabilities that reach through Fairlead."""
    return {name: capabilities[name] for name in _PASSED_ON if isinstance(capabilities.get(name), dict)}


async def negotiate(
    send: Send,
    notify: Notify,
    *,
    capabilities: Json,
    probe_timeout: float | None,
    mask: Callable[[str], str] = str,
) -> Agreement:
    """Find the version to speak: a modern one where the server has it, else that of the handshake.

    Only an answer that proves a modern server counts as one; whatever else it says, it gets the handshake.

    Args:
        send: Sends a request; see `Session.request` for what it raises.
        notify: Sends a notification.
        capabilities: What we can do, in the handshake; the modern protocol says so with each request.
        probe_timeout: Seconds that `server/discover` may take before the server is taken for one of the handshake era;
            None: it is one.
        mask: Takes the secrets out of what the server says.

    Raises:
        ProtocolError: There is no version in common, or its answers make no sense.
    """
    modern = None if probe_timeout is None else await _discover(send, LATEST_MODERN_VERSION, probe_timeout)
    if isinstance(modern, str) and probe_timeout is not None:
        modern = await _discover(send, modern, probe_timeout)
    if isinstance(modern, Agreement):
        return modern
    try:
        return await _handshake(send, notify, capabilities)
    except MCPError as error:
        # A server that was slow to start may have answered the probe after we gave it up, and be modern since then.
        if probe_timeout is not None and (mutual := _mutual(_supported(error))):
            again = await _discover(send, mutual, probe_timeout)
            if isinstance(again, Agreement):
                return again
        raise ProtocolError(f"The server refused the MCP handshake: {quoted(mask(error.message))}.") from None


async def _discover(send: Send, wanted: str, timeout: float) -> Agreement | str | None:
    """What was agreed; or the version to try instead; or None: it is not modern."""
    meta = {**_identity(wanted), CLIENT_CAPABILITIES_META_KEY: {}}
    headers = {MCP_PROTOCOL_VERSION_HEADER: wanted, MCP_METHOD_HEADER: "server/discover"}
    options: CallOptions = {"timeout": timeout, "cancel_on_abandon": False, "headers": headers}
    try:
        result = await send("server/discover", {"_meta": meta}, options)
    except MCPError as error:
        supported = _supported(error)
        if supported and not any(v in HANDSHAKE_PROTOCOL_VERSIONS for v in supported) and not _mutual(supported):
            raise ProtocolError(
                f"The server speaks only MCP {quoted(', '.join(supported))}, which Fairlead does not."
            ) from None
        mutual = _mutual(supported)
        return mutual if mutual != wanted else None
    versions = result.get("supportedVersions")
    mutual = _mutual(versions if isinstance(versions, list) else [])
    if mutual is None:
        return None
    return _agreement(mutual, result, _object(_object(result.get("_meta")).get(SERVER_INFO_META_KEY)))


async def _handshake(send: Send, notify: Notify, capabilities: Json) -> Agreement:
    params = {
        "protocolVersion": LATEST_HANDSHAKE_VERSION,
        "capabilities": capabilities,
        "clientInfo": _client_info(),
    }
    result = await send("initialize", params, {"cancel_on_abandon": False})
    agreed = result.get("protocolVersion")
    if agreed not in HANDSHAKE_PROTOCOL_VERSIONS:
        raise ProtocolError(f"The server answered the handshake with the MCP version {str(agreed)[:40]!r}.")
    agreement = _agreement(agreed, result, _object(result.get("serverInfo")))
    await notify("notifications/initialized", None, {"headers": {MCP_PROTOCOL_VERSION_HEADER: agreed}})
    return agreement


def _agreement(agreed: str, result: Json, server_info: Json) -> Agreement:
    capabilities, instructions = result.get("capabilities"), result.get("instructions")
    if not isinstance(capabilities, dict):
        raise ProtocolError("The server's answer to the handshake has no capabilities.")
    return Agreement(agreed, capabilities, server_info, instructions if isinstance(instructions, str) else "")


def dressed(
    agreement: Agreement,
    method: str,
    params: Json | None,
    *,
    capabilities: Json,
    progress_token: int | None = None,
    param_headers: ParamHeaders | None = None,
) -> tuple[Json | None, CallOptions]:
    """A request or notification as the agreed version wants it, without what another hop's version had put in.

    Args:
        capabilities: What the client behind it can do.
        progress_token: In place of the one it has; None: without one.
        param_headers: See `ParamHeaders`.
    """
    meta = dict(_object((params or {}).get("_meta")))
    for key in ("progressToken", *_ENVELOPE):
        meta.pop(key, None)
    if progress_token is not None:
        meta["progressToken"] = progress_token
    headers = {MCP_PROTOCOL_VERSION_HEADER: agreement.version}
    if agreement.modern:
        meta |= {**_identity(agreement.version), CLIENT_CAPABILITIES_META_KEY: passed_on(capabilities)}
        headers |= _routing_headers(method, params or {}, param_headers or {})
    else:
        meta.pop(LOG_LEVEL_META_KEY, None)
    clad = {key: value for key, value in (params or {}).items() if key != "_meta"}
    if meta:
        clad["_meta"] = meta
    return clad or None, {"headers": headers}


def _routing_headers(method: str, params: Json, param_headers: ParamHeaders) -> dict[str, str]:
    headers = {MCP_METHOD_HEADER: method}
    name = params.get(NAME_BEARING_METHODS.get(method, ""))
    if isinstance(name, str):
        headers[MCP_NAME_HEADER] = encode_header_value(name)
        if method == "tools/call" and name in param_headers:
            headers |= mcp_param_headers(param_headers[name], _object(params.get("arguments")))
    return headers


def _identity(agreed: str) -> Json:
    return {PROTOCOL_VERSION_META_KEY: agreed, CLIENT_INFO_META_KEY: _client_info()}


def _client_info() -> Json:
    return {"name": "fairlead", "version": _VERSION}


def _supported(error: MCPError) -> list[str]:
    """The versions that a server names when it refuses one; empty: it says nothing of the kind."""
    if error.code != UNSUPPORTED_PROTOCOL_VERSION:
        return []
    supported = _object(error.error.data).get("supported")
    return [v for v in supported if isinstance(v, str)] if isinstance(supported, list) else []


def _mutual(supported: list[Any]) -> str | None:
    return next((v for v in reversed(MODERN_PROTOCOL_VERSIONS) if v in supported), None)


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


_VERSION = version("fairlead")
