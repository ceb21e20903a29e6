"""`fairlead connect` as a client starts it: through an SDK client, or line by line."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.sockets import listen
from tests.conformance import fixture
from tests.integration.app.endpoint import RunningEndpoint, running
from tests.integration.client.person import FAIRLEAD, Era

ENDING_SECONDS = 60.0


@contextlib.asynccontextmanager
async def serving(
    config: SidecarConfig, *, port: int = 0, token: str | None = None, make_server: Any = fixture.make_server
) -> AsyncIterator[RunningEndpoint]:
    """An endpoint with the tools of the conformance suite, which needs no host.

    One that runs again takes the port and the token of the one before; the port is then one of `free_port`, since
    others may get one that the system gave while nothing listens on it.
    """

    def prepare(endpoint: RunningEndpoint) -> None:
        if port:
            endpoint.public.close()
            endpoint.public = listen("127.0.0.1", port)
            endpoint.origin = f"http://127.0.0.1:{port}"
        if token:
            endpoint.token = token

    earlier, grant = fixture_tokens(token)
    config = config if grant is None else config.model_copy(update={"tokens": (grant,)})
    async with running(config, connected=False, make_server=make_server, prepare=prepare) as endpoint:
        endpoint.keyring.clear += earlier
        yield endpoint


def fixture_tokens(token: str | None) -> tuple[list[str], Any]:
    """The grant for a token that was minted before."""
    from tests.integration.app.endpoint import Tokens

    if token is None:
        return [], None
    keyring = Tokens()
    return [token], keyring.grant(text=token)[1]


def environment(home: Path, **more: str) -> dict[str, str]:
    """Of a person without any token."""
    return {**os.environ, "HOME": str(home), "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"} | more


@contextlib.asynccontextmanager
async def connected(
    *arguments: str, env: dict[str, str], era: Era = "auto", log: Path | None = None, **options: Any
) -> AsyncIterator[Client]:
    """An SDK client that starts `fairlead connect` with the arguments; `options` are its own."""
    server = StdioServerParameters(command=FAIRLEAD[0], args=[*FAIRLEAD[1:], "connect", *arguments], env=env)
    with contextlib.ExitStack() as stack:
        more = {} if log is None else {"errlog": stack.enter_context(log.open("w"))}
        async with Client(stdio_client(server, **more), mode=era, **options) as client:
            yield client


class Lines:
    """`fairlead connect`, spoken to by hand."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self._log = log

    @property
    def said(self) -> str:
        """What it told the person so far."""
        return self._log.read_text()

    async def send(self, message: dict[str, Any] | str) -> None:
        """Write one line."""
        assert self.process.stdin is not None
        text = message if isinstance(message, str) else json.dumps(message)
        self.process.stdin.write(text.encode() + b"\n")
        await self.process.stdin.drain()

    async def line(self, seconds: float = ENDING_SECONDS) -> str:
        """The next line that it writes."""
        assert self.process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self.process.stdout.readline()
        assert line, f"it ended with {self.process.returncode}: {self.said}"
        return line.decode().rstrip("\n")

    async def message(self, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next message that is wanted; others are passed over."""
        while True:
            message: dict[str, Any] = json.loads(await self.line())
            if wanted(message):
                return message

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and wait for what answers it."""
        await self.send(request)
        return await self.message(lambda message: message.get("id") == request["id"] and "method" not in message)

    async def ends(self) -> int:
        """Close its input and wait for its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.exits()

    async def exits(self) -> int:
        """Wait for its exit code."""
        async with asyncio.timeout(ENDING_SECONDS):
            return await self.process.wait()


@contextlib.asynccontextmanager
async def by_hand(*arguments: str, env: dict[str, str], log: Path) -> AsyncIterator[Lines]:
    """Start it, and kill it at the end."""
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            *FAIRLEAD,
            "connect",
            *arguments,
            env=env,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=64 * 1024 * 1024,
        )
    try:
        yield Lines(process, log)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
