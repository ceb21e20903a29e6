"""The two ways to a server, direct and through Fairlead, made comparable."""

import asyncio
import base64
import json
import re
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.integration.upstream.raw import Json, Raw, raw_http
from tests.integration.upstream.zoo import Zoo

KEPT = {"everything__": "demo://", "memory__": "memory://"}
"""How the URIs begin that a server keeps in the list of all, being the first that has them."""


class Side:
    """One of two ways to the server; what it gives is brought to the server's own names."""

    def __init__(self, raw: Raw, name: str, server: str | None = None) -> None:
        self.raw = raw
        self._name = name
        """Stands for NAME in what is sent, so that several clients do not meet in one server."""
        self._prefix = f"{server}__" if server else ""
        self._at = f"{server}+" if server else ""

    async def ask(self, method: str, params: Json | None = None) -> Json:
        given: Json = json.loads(json.dumps(params or {}).replace("NAME", self._name))
        if "name" in given:
            given["name"] = self._prefix + given["name"]
        if "uri" in given:
            given["uri"] = self._at + given["uri"]
        if isinstance(ref := given.get("ref"), dict):
            key, prefix = ("name", self._prefix) if "name" in ref else ("uri", self._at)
            given["ref"] = {**ref, key: prefix + ref[key]}
        neutral: Json = self.neutral(await self.raw.outcome(method, given))
        return neutral

    async def listed(self, method: str, member: str, key: str) -> list[Json]:
        # Of what a server does not have at all, Fairlead lists nothing.
        items = (await self.ask(method)).get("result", {member: []})[member]
        if key == "name":
            return [
                {**item, key: item[key].removeprefix(self._prefix)}
                for item in items
                if item[key].startswith(self._prefix)
            ]
        at = KEPT.get(self._prefix, self._at)
        own = [item for item in items if item[key].startswith(at)]
        return [{**item, key: item[key].removeprefix(self._at)} for item in own]

    def neutral(self, value: Any) -> Any:
        """Without what differs from call to call: times, random identifiers, and the client's own name."""
        if isinstance(value, dict):
            if isinstance(blob := value.get("blob"), str) and b"created at" in (data := base64.b64decode(blob)):
                value = {**value, "blob": data.decode()}
            return {key: self.neutral(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.neutral(item) for item in value]
        if isinstance(value, str):
            value = re.sub(r"\d{1,2}:\d\d:\d\d( [AP]M)?", "TIME", value)
            value = re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UUID", value)
            return value.replace(self._name, "NAME")
        return value


def ways(served: Zoo, server: str) -> list[tuple[AbstractAsyncContextManager[Raw], str | None]]:
    """A session through Fairlead in each era, with all servers and with this one alone; with the prefix's server."""
    headers = served.endpoint.bearer()
    return [
        (raw_http(served.url(alone), modern=modern, headers=headers), None if alone else server)
        for modern in (False, True)
        for alone in (None, server)
    ]


async def compare(plain: Side, through: Side, method: str, params: Json) -> None:
    """Ask both, and see that they say the same."""
    wanted, found = await asyncio.gather(plain.ask(method, params), through.ask(method, params))
    assert found == wanted, f"{method} {params}"


async def compare_lists(plain: Side, through: Side) -> None:
    """See that both list the same."""
    for method, member, key in (
        ("tools/list", "tools", "name"),
        ("prompts/list", "prompts", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ):
        found, wanted = await through.listed(method, member, key), await plain.listed(method, member, key)
        assert found == wanted
