"""An HTTP client whose connections go through the link and are kept for a while."""

import base64
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version

import httpx2

from fairlead_sidecar.upstream.http_connection import Connection, Response
from fairlead_sidecar.upstream.tunnel import Connect, Tunnels

_IDLE_SECONDS = 4.0
"""For which an idle connection is kept: many servers close theirs after 5 s, and a request that meets that is lost."""
_MAX_IDLE = 8
_USER_AGENT = f"fairlead/{version('fairlead')}"
_Origin = tuple[str, str, int | None]


class _Place:
    """What of a URL is the same for all requests to it."""

    def __init__(self, url: httpx2.URL) -> None:
        self.url = url
        self.target: bytes = url.raw_path
        self.origin: _Origin = (url.scheme, url.host, url.port)
        self.headers = {"host": url.netloc.decode("ascii"), "user-agent": _USER_AGENT, "connection": "keep-alive"}
        if url.userinfo:
            credentials = base64.b64encode(f"{url.username}:{url.password}".encode())
            self.headers["authorization"] = f"Basic {credentials.decode()}"


class HttpClient:
    """Sends requests to one server. Neither proxies nor credentials are taken from the environment.

    Answers may take as long as they like: whoever waits has a deadline. Redirects are left to the caller.
    """

    def __init__(self, connect: Connect) -> None:
        """`connect` opens a connection on the host."""
        self._tunnels = Tunnels(connect)
        self._idle: dict[_Origin, list[Connection]] = {}
        self._places: dict[str, _Place] = {}
        self._cookies = httpx2.Cookies()
        self._closed = False

    async def send(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None = None) -> Response:
        """Send a request; its answer, whose body is still to be read, and which is then to be released.

        Args:
            headers: Names in lower case and values; they come before what is sent by default.

        Raises:
            UpstreamError: There is no answer.
        """
        place = self._place(url)
        sent = {**place.headers, **headers}
        if content is not None:
            sent["content-length"] = str(len(content))
        if self._cookies.jar:
            self._add_cookies(sent, method, url)
        connection = await self._connection(place)
        try:
            response = await connection.send(method, url, place.target, sent, content or b"")
            if "set-cookie" in response.headers:
                self._take_cookies(response, method)
        except BaseException:
            self._release(place.origin, connection)
            raise
        response.on_release = partial(self._release, place.origin, connection)
        return response

    def close(self) -> None:
        """Close what is idle now, and what is under way once it is done."""
        self._closed = True
        for connections in self._idle.values():
            for connection in connections:
                connection.close()
        self._idle.clear()

    async def _connection(self, place: _Place) -> Connection:
        idle = self._idle.get(place.origin)
        while idle:
            # The one that was used last is the likeliest to be open still.
            connection = idle.pop()
            if connection.usable and time.monotonic() - connection.idle_since < _IDLE_SECONDS:
                return connection
            connection.close()
        return Connection(await self._tunnels.open(place.url))

    def _release(self, origin: _Origin, connection: Connection) -> None:
        connection.done()
        idle = self._idle.setdefault(origin, [])
        now = connection.idle_since = time.monotonic()
        while idle and (len(idle) >= _MAX_IDLE or now - idle[0].idle_since >= _IDLE_SECONDS):
            idle.pop(0).close()
        if connection.usable and not self._closed:
            idle.append(connection)
        else:
            connection.close()

    def _place(self, url: str) -> _Place:
        place = self._places.get(url)
        if place is None:
            # A server may name other URLs of its own; few do, and none many.
            if len(self._places) >= _MAX_IDLE:
                self._places.clear()
            place = self._places[url] = _Place(httpx2.URL(url))
        return place

    def _add_cookies(self, headers: dict[str, str], method: str, url: str) -> None:
        request = httpx2.Request(method, url)
        self._cookies.set_cookie_header(request)
        if "cookie" in request.headers and "cookie" not in headers:
            headers["cookie"] = request.headers["cookie"]

    def _take_cookies(self, response: Response, method: str) -> None:
        request = httpx2.Request(method, response.url)
        self._cookies.extract_cookies(httpx2.Response(response.status_code, headers=response.fields, request=request))
