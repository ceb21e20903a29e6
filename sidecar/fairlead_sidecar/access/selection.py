"""Which tools a token may use, by their names (`TokenGrant.tools`)."""

import fnmatch
import re
from functools import lru_cache

from fairlead_sidecar.config import ToolSelection
from fairlead_sidecar.errors import PermissionDenied

MOST_CHARACTERS = 256
"""Longer names are no tool's, and none of them is let through where anything is restricted."""


def selected(selection: ToolSelection, name: str) -> bool:
    """Whether a token with this selection may use the tool of this name: deny wins over allow."""
    if selection.allow is None and not selection.deny:
        return True
    if len(name) > MOST_CHARACTERS or (selection.deny and _matcher(selection.deny).match(name)):
        return False
    return selection.allow is None or _matcher(selection.allow).match(name) is not None


@lru_cache(maxsize=256)
def _matcher(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches what one of the patterns matches; `*` and `?` are their only wildcards."""
    translated = (fnmatch.translate(pattern.replace("[", "[[]")) for pattern in patterns)
    # An empty list lets nothing through.
    return re.compile("|".join(translated) or r"(?!)")


def not_selected(name: str) -> PermissionDenied:
    """The error of a call that the token's selection does not let through."""
    hint = "Use a token whose tools include it (spec.tools of the McpToken)."
    return PermissionDenied(f"The token may not use the tool {name[:MOST_CHARACTERS]}.", hint=hint)
