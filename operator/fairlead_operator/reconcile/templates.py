"""Texts with places for a host's namespace and name."""

import re
import string
from dataclasses import dataclass
from functools import lru_cache

from fairlead_operator.reconcile.objects import Key

NAMESPACE = "{namespace}"


@dataclass(frozen=True)
class Template:
    """One such text; it may have no place at all."""

    text: str

    def render(self, key: Key) -> str:
        """What it says for one host."""
        return self.text.format(namespace=key.namespace, name=key.name)

    def makes(self, text: str, namespace: str | None = None) -> bool:
        """Whether it says this for any host, or for any of one namespace."""
        return _pattern(self.text, namespace).fullmatch(text) is not None

    def gives_away(self, text: str, namespace: str) -> bool:
        """Whether it says this for hosts of other namespaces alone."""
        return NAMESPACE in self.text and self.makes(text) and not self.makes(text, namespace)


@lru_cache(maxsize=4096)
def _pattern(template: str, namespace: str | None) -> re.Pattern[str]:
    parts = []
    for fixed, place, _, _ in string.Formatter().parse(template):
        parts.append(re.escape(fixed))
        if place is not None:
            parts.append(re.escape(namespace) if place == "namespace" and namespace else "[-a-z0-9]+")
    return re.compile("".join(parts))
