"""Which requests upstream servers answer, in whole or in part; it stands before the SDK's own handling of them.

What is answered here reaches the client as it is: the SDK would leave out of a handler's result all that it does not
know of.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import SERVER_INFO_META_KEY, methods

from fairlead_sidecar.protocol import introductions
from fairlead_sidecar.protocol.addressing import Entry
from fairlead_sidecar.protocol.caller import Callers, Context, alone
from fairlead_sidecar.protocol.interaction import is_modern
from fairlead_sidecar.protocol.servers import Servers, rest_of
from fairlead_sidecar.protocol.subscriptions import Subscriptions, Watch
from fairlead_sidecar.protocol.upstream_calls import Target, UpstreamCalls
from fairlead_sidecar.protocol.upstream_lists import LISTS, listed
from fairlead_sidecar.upstream import names
from fairlead_sidecar.upstream.names import SEPARATOR, Names
from fairlead_sidecar.upstream.spec import Json

Serve = Callable[[Context, CallNext], Awaitable[HandlerResult]]
_NOTHING: Json = {"completion": {"values": [], "total": 0, "hasMore": False}}
_WATCHES_KEY = "fairlead.watches"
_CACHED = frozenset({"resources/read"})
"""Methods whose results say in the modern protocol how long they hold."""


class _Found(NamedTuple):
    """What a request is about."""

    server: str
    original: str
    """What its server calls it."""
    label: str
    """The name among those of all tools that decides whether a token may use it."""
    listed: bool = True
    read_only: bool = True
    """A tool: whether it changes nothing."""


class UpstreamRequests:
    """A middleware of the server (`mcp.server.context.ServerMiddleware`).

    Args:
        server_info: What the server says of itself, for results of the modern protocol.
    """

    def __init__(
        self,
        callers: Callers,
        servers: Servers,
        calls: UpstreamCalls,
        subscriptions: Subscriptions,
        server_info: Callable[[], Json],
    ) -> None:
        self._callers = callers
        self._servers = servers
        self._calls = calls
        self._subscriptions = subscriptions
        self._server_info = server_info
        self._methods: dict[str, Serve] = {
            "initialize": self._introduce,
            "server/discover": self._introduce,
            "tools/call": self._call,
            "prompts/get": self._prompt,
            "resources/read": self._read,
            "completion/complete": self._complete,
            "resources/subscribe": self._subscribe,
            "resources/unsubscribe": self._subscribe,
            **dict.fromkeys(LISTS, self._list),
        }

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Answer a request, or leave it to who comes next."""
        serve = self._methods.get(ctx.method)
        if serve is None or not (self._servers.all() or alone(ctx)):
            return await call_next(ctx)
        return await serve(ctx, call_next)

    async def _introduce(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        result, server = _dict(await call_next(ctx)), alone(ctx)
        active, caller = self._callers.who(ctx)
        if server is None:
            return introductions.among_all(result, dict(self._servers.all()), active, caller)
        upstream = self._servers.all().get(server)
        if upstream is None:
            return result
        introduced = introductions.of_one(result, server, upstream, active, caller)
        return self._signed(ctx, introduced, server)

    async def _list(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        result, server = _dict(await call_next(ctx)), alone(ctx)
        active, caller = self._callers.who(ctx)
        member, _ = LISTS[ctx.method]
        items = listed(ctx.method, self._servers.directory, active, caller, server, modern=is_modern(ctx))
        if server is None:
            return {**result, member: [*result[member], *items]}
        return self._signed(ctx, {**result, member: items}, server)

    async def _call(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        name, directory = _text(ctx, "name"), self._servers.directory
        found = self._named(alone(ctx), name, directory.tools, directory.tool)
        return await (call_next(ctx) if found is None else self._served(ctx, found, "name"))

    async def _prompt(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        found = self._named_prompt(alone(ctx), _text(ctx, "name"))
        return await (call_next(ctx) if found is None else self._served(ctx, found, "name"))

    async def _read(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        routed = self._routed(ctx)
        if routed is None:
            return await call_next(ctx)
        server, uri = routed
        return await self._served(ctx, _Found(server, uri, rest_of(server)), "uri")

    async def _complete(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        found = self._completed(ctx)
        if found is None:
            return await call_next(ctx)
        server, label, ref, is_listed = found
        self._check(ctx)
        upstream = self._servers.all().get(server)
        if upstream is not None and upstream.status().ready and "completions" not in upstream.catalogue.capabilities:
            return self._sealed(ctx, _NOTHING, server)
        params = {**(ctx.params or {}), "ref": ref}
        subject = str(ref.get("name", ref.get("uri")))
        target = Target(server, ctx.method, params, subject, label, listed=is_listed)
        result = await self._calls.serve(ctx, target)
        return self._sealed(ctx, result, server)

    async def _subscribe(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        server = alone(ctx)
        if not self._subscriptions.supported(server):
            return await call_next(ctx)
        self._check(ctx)
        public, found = _text(ctx, "uri"), self._routed(ctx)
        if found is None or not self._subscriptions.supported(found[0]):
            raise MCPError(types.INVALID_PARAMS, "Changes of this resource are not told.", {"uri": public})
        connection = ctx.session._connection  # noqa: SLF001 - nothing public stands for the session and tells its end
        if ctx.method == "resources/unsubscribe":
            await self._subscriptions.remove(connection, *found)
            return {}
        target = Target(found[0], ctx.method, dict(ctx.params or {}), found[1], rest_of(found[0]))
        await self._calls.serve(ctx, target, partial(self._watch, ctx, *found, public))
        return {}

    async def _watch(self, ctx: Context, server: str, uri: str, public: str) -> Json:
        _, caller = self._callers.who(ctx)
        connection = ctx.session._connection  # noqa: SLF001 - as in `_subscribe`
        client = self._servers.client(ctx, caller)
        await self._subscriptions.add(
            Watch(connection, client, caller, server, uri, public, connection.send_resource_updated)
        )
        if not connection.state.get(_WATCHES_KEY):
            connection.state[_WATCHES_KEY] = True
            connection.exit_stack.callback(self._subscriptions.end, connection)
        return {}

    async def _served(self, ctx: Context, found: "_Found", key: str) -> Json:
        self._check(ctx)
        server, original, label, is_listed, read_only = found
        params = {**(ctx.params or {}), key: original}
        target = Target(server, ctx.method, params, original, label, read_only=read_only, listed=is_listed)
        return self._sealed(ctx, await self._calls.serve(ctx, target), server)

    def _check(self, ctx: Context) -> None:
        """Whether the SDK would have a handler answer it.

        Raises:
            MCPError: The protocol version has no such request, or the handshake is missing.
            pydantic.ValidationError: It is not as that version has it.
        """
        try:
            methods.validate_client_request(ctx.method, ctx.protocol_version, ctx.params)
        except KeyError:
            raise MCPError(types.METHOD_NOT_FOUND, "Method not found", ctx.method) from None
        if not ctx.session._connection.initialize_accepted:  # noqa: SLF001 - as the SDK itself checks it
            raise MCPError(types.INVALID_PARAMS, "Invalid request parameters", "")

    def _split(self, name: str) -> tuple[str, str] | None:
        found = names.split(name) if SEPARATOR in name else None
        return found if found is not None and found[0] in self._servers.all() else None

    def _named(
        self,
        server: str | None,
        name: str,
        public: Mapping[str, Entry],
        find: Callable[[str, str], Entry | None],
    ) -> "_Found | None":
        """What a client means by a name, whether it is listed or not; None: it is no server's."""
        split = self._split(name) if server is None else (server, name)
        # Else what its server calls it would be another name for the same, which nothing is selected by.
        entry = (public.get(name) if server is None else None) or (find(*split) if split else None)
        if entry is not None:
            return _Found(entry.server, entry.original, entry.name, read_only=entry.read_only)
        return None if split is None else _Found(*split, _label(*split), listed=False, read_only=False)

    def _named_prompt(self, server: str | None, name: str) -> "_Found | None":
        directory = self._servers.directory
        return self._named(server, name, directory.prompts, directory.prompt)

    def _routed(self, ctx: Context) -> tuple[str, str] | None:
        """The server of the URI that a request names, and the URI there; None: it is our own, or nobody's."""
        return self._servers.route(ctx, _text(ctx, "uri"))

    def _completed(self, ctx: Context) -> tuple[str, str, Json, bool] | None:
        """Server, the name that decides whether a token may ask, the reference in the server's own names, and whether
        it is listed."""
        ref, server = (ctx.params or {}).get("ref"), alone(ctx)
        if not isinstance(ref, dict):
            return None
        # The type alone says what it is: a reference may have members that its type does not.
        if ref.get("type") == "ref/prompt" and isinstance(ref.get("name"), str):
            found = self._named_prompt(server, ref["name"])
            return None if found is None else (found.server, found.label, {**ref, "name": found.original}, found.listed)
        if ref.get("type") != "ref/resource" or not isinstance(ref.get("uri"), str):
            return None
        if server is not None:
            return server, rest_of(server), ref, True
        directory = self._servers.directory
        entry = directory.templates.get(ref["uri"])
        routed = (entry.server, entry.original) if entry else names.address(ref["uri"], directory.offers)
        return None if routed is None else (routed[0], rest_of(routed[0]), {**ref, "uri": routed[1]}, True)

    def _sealed(self, ctx: Context, result: Json, server: str) -> Json:
        """A server's result as the client's protocol version has it."""
        if not is_modern(ctx):
            return {key: value for key, value in result.items() if key != "resultType"}
        hints = {"ttlMs": 0, "cacheScope": "private"} if ctx.method in _CACHED else {}
        return self._signed(ctx, {"resultType": "complete", **hints, **result}, server if alone(ctx) else None)

    def _signed(self, ctx: Context, result: Json, server: str | None) -> Json:
        """Modern protocol: with who it is from."""
        if not is_modern(ctx):
            return result
        meta = result.get("_meta")
        meta = meta if isinstance(meta, dict) else {}
        upstream = self._servers.all().get(server) if server is not None else None
        if upstream is not None and server is not None:
            return {**result, "_meta": {**meta, SERVER_INFO_META_KEY: introductions.info(server, upstream.catalogue)}}
        return {**result, "_meta": {SERVER_INFO_META_KEY: self._server_info(), **meta}}


def _text(ctx: Context, member: str) -> str:
    """A member of the parameters; empty where it is no text, which the SDK then refuses."""
    value: Any = (ctx.params or {}).get(member)
    return value if isinstance(value, str) else ""


def _label(server: str, original: str) -> str:
    return Names(server, [original]).aggregate(original)


def _dict(result: HandlerResult) -> Json:
    return result if isinstance(result, dict) else {}
