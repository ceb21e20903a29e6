"""A running sidecar on loopback, in this process, and clients for both protocol eras."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import httpx2
import psutil
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.lowlevel.server import Server
from starlette.applications import Starlette

from fairlead_sidecar import tokens
from fairlead_sidecar.app import Application, create_app
from fairlead_sidecar.audit import AuditLog
from fairlead_sidecar.config import Endpoint as EndpointConfig
from fairlead_sidecar.config import Permission, SidecarConfig, TokenGrant
from fairlead_sidecar.mcp_server import build_server
from fairlead_sidecar.reload import ConfigSource, StaticSource
from fairlead_sidecar.server import serve
from fairlead_sidecar.sidecar import Sidecar
from fairlead_sidecar.sockets import listen
from fairlead_sidecar.statusz import LinkState
from tests.integration.sshd import PATIENCE_SECONDS, runs

PATH = "/shop/web-01"
PROBE_KEY = b"k" * 32
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
MODERN = {"MCP-Protocol-Version": "2026-07-28"}
ERAS = ("legacy", "auto")
"""Modes of the SDK's client: the handshake protocols, and 2026-07-28 (which `auto` finds by itself)."""


async def until(
    condition: Callable[[], bool | Awaitable[bool]], what: str, *, seconds: float = PATIENCE_SECONDS
) -> None:
    """Wait until `condition()` holds; fail naming `what` if it does not in time."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                holds = condition()
                if holds if isinstance(holds, bool) else await holds:
                    return
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"waited {seconds} s in vain for: {what}") from None


def processes(marker: str) -> list[psutil.Process]:
    """The running processes that have `marker` in their command line."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):
            # Closely only at those that may be meant: the sidecar, in the same event loop, waits meanwhile.
            if marker.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                process = psutil.Process(pid)
                if runs(process, marker):
                    found.append(process)
    return found


class Tokens:
    """Tokens in clear, which only tests and clients have, and the grants made from them."""

    def __init__(self) -> None:
        self.clear: list[str] = []

    def grant(
        self,
        *permissions: Permission,
        subject: str = "agent",
        uid: str | None = None,
        expires_at: datetime | None = None,
        text: str | None = None,
    ) -> tuple[str, TokenGrant]:
        """A token and its grant; all permissions when none are named."""
        text = text or tokens.mint()
        self.clear.append(text)
        parsed = tokens.parse(text)
        assert parsed is not None
        return text, TokenGrant(
            id=parsed.id,
            uid=uid or f"uid-{parsed.id}",
            subject=subject,
            secret_sha256=tokens.sha256_hex(text),
            permissions=frozenset(permissions or Permission),
            expires_at=expires_at,
        )


class RunningEndpoint:
    """One sidecar that serves, with a token for everything."""

    def __init__(self, app: Starlette, source: ConfigSource, config: SidecarConfig, keyring: Tokens) -> None:
        self.app = app
        self.sidecar: Sidecar = app.state.sidecar
        self.source = source
        self.config = config
        self.keyring = keyring
        self.token = ""
        self.audit_stream = io.StringIO()
        self.public = listen("127.0.0.1", 0)
        self.internal = listen("127.0.0.1", 0)
        self.stop = asyncio.Event()
        self.origin = f"http://127.0.0.1:{self.public.getsockname()[1]}"
        self.internal_url = f"http://127.0.0.1:{self.internal.getsockname()[1]}"
        self.sidecar.audit = AuditLog(self.audit_stream)

    @property
    def url(self) -> str:
        """Where MCP answers."""
        return f"{self.origin}{PATH}/mcp"

    @property
    def probe(self) -> str:
        """The operator's token."""
        return tokens.probe_token(PROBE_KEY, self.config.instance)

    def reconfigure(self, **changes: Any) -> SidecarConfig:
        """Change the configuration in force, as a new file would."""
        assert isinstance(self.source, StaticSource)
        self.config = self.config.model_copy(update=changes)
        self.source.replace(self.config)
        return self.config

    async def settled(self) -> None:
        """Wait until the newest configuration is in force."""
        wanted = self.config.render()
        await until(
            lambda: self.sidecar.active is not None and self.sidecar.active.config.render() == wanted,
            "the configuration to come into force",
        )

    def audit(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The lines of the audit trail."""
        lines = [json.loads(line) for line in self.audit_stream.getvalue().splitlines()]
        return [line for line in lines if kind is None or line["kind"] == kind]

    def bearer(self, token: str | None = None) -> dict[str, str]:
        """The header for a token."""
        return {"Authorization": f"Bearer {token or self.token}"}

    @contextlib.asynccontextmanager
    async def client(self, mode: str = "auto", token: str | None = None, **options: Any) -> AsyncIterator[Client]:
        """The Python SDK's client; `options` are its own."""
        async with (
            httpx2.AsyncClient(headers=self.bearer(token), timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode, **options) as client,
        ):
            yield client

    def http(self, token: str | None = None) -> httpx.AsyncClient:
        """A plain HTTP client with the token."""
        return httpx.AsyncClient(headers=self.bearer(token) | ACCEPT, timeout=60)


def held(endpoint: RunningEndpoint) -> int:
    """The bytes of request bodies that are counted at the moment."""
    assert isinstance(endpoint.app, Application)
    return endpoint.app.gate._budget._taken.total()


async def initialize(http: httpx.AsyncClient, url: str) -> dict[str, str]:
    """The handshake of the older protocols by hand; the headers that name the session."""
    answer = await http.post(url, json=INITIALIZE)
    assert answer.status_code == 200, answer.text
    session = {"Mcp-Session-Id": answer.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    done = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(url, json=done, headers=session)).status_code == 202
    return session


INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "by-hand", "version": "1"},
    },
}


def request(method: str, params: dict[str, Any] | None = None, *, modern: bool = False) -> dict[str, Any]:
    """A JSON-RPC request, with the envelope that the modern protocol wants where `modern`."""
    params = dict(params or {})
    if modern:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "by-hand", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
            **params.get("_meta", {}),
        }
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def call(name: str, *, modern: bool = False, **arguments: Any) -> dict[str, Any]:
    """A tool call as a JSON-RPC request."""
    return request("tools/call", {"name": name, "arguments": arguments}, modern=modern)


def modern_headers(message: dict[str, Any]) -> dict[str, str]:
    """The headers that the modern protocol wants for a message."""
    name = message["params"].get("name")
    return MODERN | {"Mcp-Method": message["method"]} | ({"Mcp-Name": name} if name else {})


@contextlib.asynccontextmanager
async def running(
    config: SidecarConfig,
    *,
    source: ConfigSource | None = None,
    connected: bool = True,
    make_server: Callable[[Sidecar], Server[Any]] = build_server,
    prepare: Callable[[RunningEndpoint], None] = lambda _endpoint: None,
) -> AsyncIterator[RunningEndpoint]:
    """Serve `config` (plus a path, a token with all permissions and the probe's hash) until the block ends.

    `prepare` is called before anything is served.
    """
    keyring = Tokens()
    token, grant = keyring.grant()
    config = config.model_copy(
        update={
            "endpoint": config.endpoint if config.endpoint.path else EndpointConfig(path=PATH),
            "tokens": (*config.tokens, grant),
            "probe_sha256": tokens.sha256_hex(tokens.probe_token(PROBE_KEY, config.instance)),
        }
    )
    source = source or StaticSource(config)
    app = create_app(source, make_server=make_server)
    endpoint = RunningEndpoint(app, source, config, keyring)
    endpoint.token = token
    prepare(endpoint)
    started = asyncio.Event()
    task = asyncio.create_task(
        serve(
            app,
            public=endpoint.public,
            internal=endpoint.internal,
            stop=endpoint.stop,
            on_started=started.set,
        )
    )
    try:
        await started.wait()
        if connected:
            await until(lambda: endpoint.sidecar.status().link.state is LinkState.CONNECTED, "the link to be up")
        yield endpoint
    finally:
        endpoint.stop.set()
        await task


def lines_of(response: httpx.Response) -> Iterator[dict[str, Any]]:
    """The JSON-RPC messages of a finished answer, JSON or event stream."""
    if response.headers["content-type"].startswith("application/json"):
        yield response.json()
        return
    for line in response.text.splitlines():
        # The event that names a stream, so that it can be taken up again, has no data.
        if line.startswith("data:") and line.removeprefix("data:").strip():
            yield json.loads(line.removeprefix("data:"))
