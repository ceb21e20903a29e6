"""What leads to a host's Service from outside: an Ingress, or an HTTPRoute of the Gateway API."""

from collections.abc import Mapping
from dataclasses import dataclass

from fairlead_api.endpoint import ParentReference
from fairlead_sidecar.config import WELL_KNOWN, WELL_KNOWN_DOCUMENTS


@dataclass(frozen=True)
class Route:
    """A place, that is, host name and path, and what its object is marked with."""

    host: str
    """Empty: any host name."""
    path: str
    annotations: Mapping[str, str]


@dataclass(frozen=True)
class IngressRoute(Route):
    """What the Ingress should say."""

    class_name: str
    """Empty: the cluster's default class."""
    tls_secret_name: str
    """Empty: no TLS."""


@dataclass(frozen=True)
class GatewayRoute(Route):
    """What the HTTPRoute should say."""

    parents: tuple[ParentReference, ...]


def routed_paths(path: str) -> list[str]:
    """The paths, with all below them, that lead to the host: its own, and where clients look for documents about it.

    Such a document is at the root of the host name, its own kind before the path that it is about (RFC 8615, RFC 8414
    section 3.1, RFC 9728 section 3.1).
    """
    return [path] if path == "/" else [path, *(f"{WELL_KNOWN}{document}{path}" for document in WELL_KNOWN_DOCUMENTS)]


def components(path: str) -> tuple[str, ...]:
    """A path as Ingress controllers compare it, part by part.

    Without regard to case: some of them match without, once anybody asks for regular expressions.
    """
    return tuple(part.casefold() for part in path.split("/") if part)
