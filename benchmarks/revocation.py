"""How fast an McpToken dies, on real pods, in each way in which one may lose a host.

Each trial has a client with an open event stream and a running command. Then the token is revoked, and three things
are timed, each from the moment at which the API server took the change (of an expiry: from the time that it names):
until a new request is refused, until stream and call are cut, until the command's process is gone from the host.
"""

import asyncio
import base64
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from tests.e2e.support.hosts import SshHost
from tests.e2e.support.kube import Kube, Object, wait_condition
from tests.e2e.support.objects import mcp_token

TRIALS = 50
"""For each way."""
_BATCH = 10
"""Tokens with a running command at a time: what the host's SSH server takes without ado."""
_TIMEOUT = 30.0
_LABEL = "benchmarks.fairlead.dev/trial-{}"
_EXPIRY_LEAD = timedelta(seconds=12)
_ELSEWHERE = "192.0.2.0/24"
"""A network in which no client is (RFC 5737)."""


@dataclass(frozen=True)
class Trial:
    """One revocation; times in seconds."""

    refused: float
    cut: float
    dead: float


@dataclass(frozen=True)
class Place:
    """Where it is tried: a host that is Ready."""

    kube: Kube
    namespace: str
    host: str
    ssh_host: SshHost


@dataclass(frozen=True)
class Token:
    """A token of one trial."""

    place: Place
    name: str
    number: int
    expires: datetime

    @property
    def label(self) -> str:
        """The host's label that makes this token good for it, and no other token."""
        return _LABEL.format(self.number)

    @property
    def seconds(self) -> int:
        """What its command sleeps; tells its process from all others."""
        return 900_000 + self.number


Revoke = Callable[[Token], float]
"""Revokes a token and returns the moment (`time.time()`) from which on it is revoked. Blocks."""


def _deleted(token: Token) -> float:
    token.place.kube.delete("mcptoken", token.name, token.place.namespace, wait=False)
    return time.time()


def _suspended(token: Token) -> float:
    token.place.kube.patch("mcptoken", token.name, token.place.namespace, {"spec": {"suspended": True}})
    return time.time()


def _expired(token: Token) -> float:
    time.sleep(max(0.0, token.expires.timestamp() - time.time()))
    return token.expires.timestamp()


def _relabelled(token: Token) -> float:
    patch = {"metadata": {"labels": {token.label: None}}}
    token.place.kube.patch("remotehost", token.place.host, token.place.namespace, patch)
    return time.time()


def _moved(token: Token) -> float:
    patch = {"spec": {"sourceCIDRs": [_ELSEWHERE]}}
    token.place.kube.patch("mcptoken", token.name, token.place.namespace, patch)
    return time.time()


WAYS: dict[str, Revoke] = {
    "deleted": _deleted,
    "suspended": _suspended,
    "expired": _expired,
    "host relabelled": _relabelled,
    "sourceCIDRs changed": _moved,
}


async def measure(place: Place, trials: int = TRIALS) -> dict[str, list[Trial]]:
    """All ways, one after the other."""
    return {way: await _way(place, revoke, trials) for way, revoke in WAYS.items()}


async def _way(place: Place, revoke: Revoke, trials: int) -> list[Trial]:
    done: list[Trial] = []
    while len(done) < trials:
        count = min(_BATCH, trials - len(done))
        lifetime = _EXPIRY_LEAD if revoke is _expired else timedelta(hours=1)
        tokens = await asyncio.to_thread(_make, place, count, lifetime)
        async with contextlib.AsyncExitStack() as stack:
            agents = await asyncio.gather(*(stack.enter_async_context(_agent(token)) for token in tokens))
            # One after the other: what is timed is one revocation, not ten at a time.
            done += [await agent.trial(revoke) for agent in agents]
        await asyncio.to_thread(_remove, place, tokens)
    return done


def _make(place: Place, count: int, lifetime: timedelta) -> list[Token]:
    """Tokens that the host accepts; an expiry comes every second, so that each can be watched by itself."""
    # Whole seconds, as the API keeps them.
    first = datetime.now(UTC).replace(microsecond=0) + lifetime
    tokens = [
        Token(place, f"doomed-{number}", number, first + timedelta(seconds=2 * number)) for number in range(count)
    ]
    labels = {token.label: "here" for token in tokens}
    place.kube.patch("remotehost", place.host, place.namespace, {"metadata": {"labels": labels}})
    place.kube.apply(*map(_manifest, tokens))
    for token in tokens:
        wait_condition(place.kube, "mcptoken", token.name, place.namespace, "Ready", "True")
    return tokens


def _manifest(token: Token) -> Object:
    selector = {"matchLabels": {token.label: "here"}}
    return mcp_token(
        token.place.namespace, token.name, selector, expirationTime=token.expires.strftime("%Y-%m-%dT%H:%M:%SZ")
    )


def _remove(place: Place, tokens: list[Token]) -> None:
    for token in tokens:
        place.kube.delete("mcptoken", token.name, place.namespace, wait=True)


class _Agent:
    """A client that has a stream open and a command running."""

    def __init__(self, token: Token, http: httpx.AsyncClient, url: str) -> None:
        self._token = token
        self._http = http
        self._url = url
        self._ends: list[asyncio.Task[float]] = []

    async def start(self) -> None:
        """Open the stream, start the command, and return once both are there."""
        answer = await self._http.post(self._url, json=_request("initialize", _INITIALIZE))
        answer.raise_for_status()
        self._http.headers["mcp-session-id"] = answer.headers["mcp-session-id"]
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        (await self._http.post(self._url, json=initialized)).raise_for_status()
        opened = asyncio.Event()
        command = {"command": f"exec sleep {self._token.seconds}"}
        call = _request("tools/call", {"name": "execute_command", "arguments": command})
        self._ends = [
            asyncio.create_task(self._until_cut("GET", None, opened)),
            asyncio.create_task(self._until_cut("POST", call, asyncio.Event())),
        ]
        await opened.wait()

    async def close(self) -> None:
        """End what is still open."""
        for end in self._ends:
            end.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)

    async def trial(self, revoke: Revoke) -> Trial:
        """Revoke the token and watch what happens.

        Raises:
            TimeoutError: It did not happen.
        """
        async with asyncio.timeout(_TIMEOUT + _EXPIRY_LEAD.total_seconds()):
            watcher = await self._watch_process()
            began = await asyncio.to_thread(revoke, self._token)
            refused = asyncio.create_task(self._until_refused())
            cut = max([await end for end in self._ends])
            dead = float(await watcher.communicate_line())
            return Trial(await refused - began, cut - began, dead - began)

    async def _until_cut(self, method: str, body: object, opened: asyncio.Event) -> float:
        with contextlib.suppress(httpx.HTTPError):
            async with self._http.stream(method, self._url, json=body) as answer:
                answer.raise_for_status()
                opened.set()
                async for _ in answer.aiter_bytes():
                    pass
        return time.time()

    async def _until_refused(self) -> float:
        while True:
            with contextlib.suppress(httpx.RemoteProtocolError):
                answer = await self._http.post(self._url, json=_request("ping", {}))
                if answer.status_code in {401, 403}:
                    return time.time()
            await asyncio.sleep(0.01)

    async def _watch_process(self) -> "_Watcher":
        host = self._token.place.ssh_host
        script = (
            f'while ! pid=$(pgrep -f "^sleep {self._token.seconds}"); do sleep 0.05; done; echo running;'
            ' while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done; date +%s.%N'
        )
        kube = self._token.place.kube
        process = await asyncio.create_subprocess_exec(
            *(kube.kubectl, "--kubeconfig", kube.kubeconfig, "exec", "-n", host.namespace, f"deploy/{host.name}"),
            *("--", "sh", "-c", script),
            stdout=asyncio.subprocess.PIPE,
        )
        watcher = _Watcher(process)
        if await watcher.communicate_line() != "running":
            msg = "the command does not run on the host"
            raise RuntimeError(msg)
        return watcher


@dataclass(frozen=True)
class _Watcher:
    """A process on the host that tells when another one is gone."""

    process: asyncio.subprocess.Process

    async def communicate_line(self) -> str:
        """The next line that it prints."""
        stdout: Any = self.process.stdout
        line: bytes = await stdout.readline()
        return line.decode().strip()


_INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "revocation-trial", "version": "1"},
}


_IDS = itertools.count(1)


def _request(method: str, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": next(_IDS), "method": method, "params": params}


@contextlib.asynccontextmanager
async def _agent(token: Token) -> AsyncIterator[_Agent]:
    place = token.place
    status = (place.kube.get("remotehost", place.host, place.namespace) or {})["status"]
    made = (place.kube.get("secret", f"mcpt-{token.name}", place.namespace) or {})["data"]
    headers = {
        "Authorization": f"Bearer {base64.b64decode(made['token']).decode()}",
        "Accept": "application/json, text/event-stream",
    }
    async with httpx.AsyncClient(headers=headers, timeout=httpx.Timeout(10, read=None)) as http:
        agent = _Agent(token, http, status["url"])
        await agent.start()
        try:
            yield agent
        finally:
            await agent.close()
