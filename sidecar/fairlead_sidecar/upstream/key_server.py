"""A key server, as m2m-mcp-server-ssh-server has one: it tells its SSH server's host key and takes clients' keys.

It is asked through the SSH link, on the host itself, so nobody in between can answer for it.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import asyncssh
from pydantic_core import from_json, to_json

from fairlead_sidecar.config import KeyServer
from fairlead_sidecar.ssh.failures import quoted
from fairlead_sidecar.ssh.hostkeys import TrustedHostKeys
from fairlead_sidecar.upstream.errors import EndpointNotFound, NotListening, ProtocolError, UpstreamError
from fairlead_sidecar.upstream.http_client import HttpClient
from fairlead_sidecar.upstream.http_endpoint import beginning
from fairlead_sidecar.upstream.http_failures import not_taken, shown
from fairlead_sidecar.upstream.tunnel import Connect

TIMEOUT_SECONDS = 10.0


class KeyServerClient:
    """Requests to one key server. It may allow few of them: m2m's takes ten a minute."""

    def __init__(self, server: KeyServer, connect: Connect) -> None:
        self._url = server.url.rstrip("/")
        self._connect = connect

    async def host_key(self) -> TrustedHostKeys:
        """The host key of its SSH server.

        Raises:
            UpstreamError: It can't be asked, or gives no key.
        """
        answer = await self._ask("GET", "/server_pub_key")
        line = answer.get("server_pub_key")
        try:
            key = asyncssh.import_public_key(line.strip() if isinstance(line, str) else "")
        except asyncssh.KeyImportError:
            raise ProtocolError(f"The key server {shown(self._url)} gave no host key.") from None
        return TrustedHostKeys((key,), source=f"the key server {shown(self._url)}")

    async def register(self, key: asyncssh.SSHKey) -> None:
        """Have the public half of a key known there.

        Raises:
            UpstreamError: It can't be asked, or does not take the key.
        """
        # Algorithm and key only: the comment often has a person's name.
        line = " ".join(key.export_public_key().decode().split()[:2])
        await self._ask("POST", "/register", {"client_pub_key": line})

    async def healthy(self) -> None:
        """Whether it works.

        Raises:
            UpstreamError: It does not.
        """
        await self._ask("GET", "/health")

    async def _ask(self, method: str, path: str, body: Mapping[str, str] | None = None) -> dict[str, Any]:
        url = f"{self._url}{path}"
        content = None if body is None else to_json(body)
        headers = {"accept-encoding": "identity", **({} if body is None else {"content-type": "application/json"})}
        client = HttpClient(self._connect)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                with await client.send(method, url, headers, content) as response:
                    said = await beginning(response)
        except TimeoutError:
            raise not_taken(url) from None
        except NotListening as error:
            raise NotListening(f"The key server does not run: {error.message}", hint=error.hint) from error
        finally:
            client.close()
        if response.status_code == 404:
            raise EndpointNotFound(f"{shown(self._url)} is no key server: it has no {path}.")
        if not response.is_success:
            why = quoted(said.decode(errors="replace"))
            raise UpstreamError(f"The key server {shown(self._url)} answered with HTTP {response.status_code}: {why}.")
        try:
            answer = from_json(said)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ProtocolError(f"The key server {shown(self._url)} answered with something else than it should.")
        return answer
