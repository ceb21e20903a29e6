"""What all upstream servers offer together: each thing's public name or URI, and the way back to its server."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mcp.shared.uri_template import InvalidUriTemplate, UriTemplate
from mcp_types.version import LATEST_HANDSHAKE_VERSION

from fairlead_sidecar.upstream import names
from fairlead_sidecar.upstream.catalogue import readable
from fairlead_sidecar.upstream.names import Names
from fairlead_sidecar.upstream.spec import Catalogue, Json, is_read_only

_HANDSHAKE = (LATEST_HANDSHAKE_VERSION,)


@dataclass(frozen=True)
class Entry:
    """One tool, prompt, resource or template of an upstream server."""

    server: str
    name: str
    """Among those of all servers: a name, a URI, or a template."""
    original: str
    """What its server calls it."""
    item: Json
    """As its server lists it."""
    digest: str
    """Differs whenever the item does."""
    method: str
    """What lists it."""

    def listed(self, key: str, *, prefixed: bool, modern: bool = True) -> Json | None:
        """As it is listed for a client of the modern protocol or a handshake one; None: not at all.

        Args:
            key: The member that names it.
        """
        item = self.item if modern else self._for_handshake
        return item if item is None or not prefixed else {**item, key: self.name}

    @cached_property
    def _for_handshake(self) -> Json | None:
        """What clients of handshake protocols can read of it, as many refuse a whole list for one item."""
        # Their tools' results are objects, if they are described at all.
        described_less = {key: value for key, value in self.item.items() if key != "outputSchema"}
        return next((item for item in (self.item, described_less) if readable(self.method, [item], _HANDSHAKE)), None)

    @property
    def read_only(self) -> bool:
        """A tool: whether its server says that it changes nothing."""
        return is_read_only(self.item)


@dataclass(frozen=True)
class Offer:
    """What one server offers."""

    catalogue: Catalogue
    tools: tuple[Entry, ...]
    prompts: tuple[Entry, ...]

    @classmethod
    def of(cls, server: str, catalogue: Catalogue) -> "Offer":
        """Name everything of a catalogue that has a name."""
        return cls(
            catalogue,
            _named(server, catalogue.tools, "tools/list"),
            _named(server, catalogue.prompts, "prompts/list"),
        )


@dataclass(frozen=True)
class Directory:
    """All of them; made anew whenever one changes, from what did not change of the last one."""

    offers: Mapping[str, Offer] = field(default_factory=dict)
    """In the configuration's order."""
    tools: Mapping[str, Entry] = field(default_factory=dict)
    prompts: Mapping[str, Entry] = field(default_factory=dict)
    resources: Mapping[str, Entry] = field(default_factory=dict)
    templates: Mapping[str, Entry] = field(default_factory=dict)
    _patterns: tuple[tuple[Entry, UriTemplate], ...] = ()

    @classmethod
    def of(cls, catalogues: Mapping[str, Catalogue], own: str, previous: "Directory | None" = None) -> "Directory":
        """The directory of these servers.

        Args:
            catalogues: By server.
            own: What the URIs of Fairlead's own resources begin with.
        """
        known = previous.offers if previous else {}
        offers = {
            server: known[server]
            if server in known and known[server].catalogue is catalogue
            else Offer.of(server, catalogue)
            for server, catalogue in catalogues.items()
        }
        taken = _Beginning(own)
        resources = _addressed(
            {name: catalogue.resources for name, catalogue in catalogues.items()}, "uri", "resources/list", taken
        )
        templates = _addressed(
            {name: catalogue.templates for name, catalogue in catalogues.items()},
            "uriTemplate",
            "resources/templates/list",
            taken,
        )
        patterns = ((entry, _pattern(entry.original)) for entry in templates.values())
        return cls(
            offers,
            {entry.name: entry for offer in offers.values() for entry in offer.tools},
            {entry.name: entry for offer in offers.values() for entry in offer.prompts},
            resources,
            templates,
            tuple((entry, pattern) for entry, pattern in patterns if pattern is not None),
        )

    def route(self, uri: str) -> tuple[str, str] | None:
        """The server that a URI belongs to, and the URI there; None where none has it."""
        explicit = names.address(uri, self.offers)
        if explicit is not None:
            return explicit
        if (entry := self.resources.get(uri)) is not None:
            return entry.server, entry.original
        matching = (entry for entry, pattern in self._patterns if pattern.match(uri) is not None)
        entry = next(matching, None)
        return None if entry is None else (entry.server, uri)

    def tool(self, server: str, original: str) -> Entry | None:
        """A tool by what its server calls it."""
        offer = self.offers.get(server)
        return None if offer is None else next((entry for entry in offer.tools if entry.original == original), None)

    def prompt(self, server: str, original: str) -> Entry | None:
        """A prompt by what its server calls it."""
        offer = self.offers.get(server)
        return None if offer is None else next((entry for entry in offer.prompts if entry.original == original), None)


@dataclass(frozen=True)
class _Beginning:
    text: str

    def __contains__(self, uri: object) -> bool:
        return isinstance(uri, str) and uri.startswith(self.text)


def _named(server: str, items: Iterable[Json], method: str) -> tuple[Entry, ...]:
    named = {item["name"]: item for item in items if isinstance(item.get("name"), str)}
    public = Names(server, named)
    return tuple(
        Entry(server, public.aggregate(original), original, item, _digest(item), method)
        for original, item in named.items()
    )


def _addressed(items: Mapping[str, Iterable[Json]], key: str, method: str, taken: _Beginning) -> dict[str, Entry]:
    by_uri = {
        server: {item[key]: item for item in listed if isinstance(item.get(key), str)}
        for server, listed in items.items()
    }
    return {
        uri: Entry(server, uri, original, by_uri[server][original], _digest(by_uri[server][original]), method)
        for uri, (server, original) in names.listed_uris(by_uri, taken).items()
    }


def _digest(item: Json) -> str:
    return hashlib.blake2b(json.dumps(item, sort_keys=True).encode(), digest_size=16).hexdigest()


def _pattern(template: str) -> UriTemplate | None:
    try:
        return UriTemplate.parse(template)
    except InvalidUriTemplate:
        return None
