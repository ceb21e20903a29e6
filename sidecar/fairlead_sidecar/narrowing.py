"""What a sidecar takes over from a configuration that it does not understand: that somebody is to be let in no longer.

During an upgrade the operator is newer than the pods that it has not replaced yet, and a file that it writes may hold
fields which those don't know. They stay with the configuration they have, but a revocation must not wait for that.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pydantic_core
from pydantic import ValidationError

from fairlead_sidecar.access.addresses import is_subnet
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import SidecarConfig, TokenGrant, ToolSelection

_KNOWN = TokenGrant.model_fields.keys()


def narrowed(config: SidecarConfig, raw: bytes) -> SidecarConfig | None:
    """The configuration in force with fewer tokens, or with tokens that may do less; None where nothing is to change.

    Args:
        config: In force.
        raw: A file that does not fit the contract as this version knows it.
    """
    try:
        listed = pydantic_core.from_json(raw)["tokens"]
    except (ValueError, TypeError, KeyError):
        listed = None
    if not isinstance(listed, list):
        # It is no configuration of any version.
        return None
    entries = {}
    for entry in listed:
        # Tokens of a kind that is not known must not keep the others in force.
        with suppress(TypeError, KeyError):
            entries[entry["id"], entry["secret_sha256"]] = entry
    if listed and not entries:
        return None
    tokens = tuple(
        token
        for grant in config.tokens
        if (entry := entries.get((grant.id, grant.secret_sha256))) is not None
        and (token := _less(grant, entry)) is not None
    )
    return None if tokens == config.tokens else config.model_copy(update={"tokens": tokens})


def _less(grant: TokenGrant, entry: dict[str, Any]) -> TokenGrant | None:
    """The grant as far as the newer one allows it too; None where that can't be read: it may be meant to end it.

    It never becomes wider: what the newer one allows more may go with a bound that is not known here.
    """
    known = {name: value for name, value in entry.items() if name in _KNOWN}
    try:
        known["permissions"] = [name for name in grant.permissions if name in known["permissions"]]
        newer = TokenGrant.model_validate_json(pydantic_core.to_json(known))
    except (ValidationError, TypeError, KeyError):
        return None
    tools = ToolSelection(
        allow=_common(grant.tools.allow, newer.tools.allow, _selects_less),
        deny=(*newer.tools.deny, *(name for name in grant.tools.deny if name not in newer.tools.deny)),
    )
    ends = [end for end in (grant.expires_at, newer.expires_at) if end is not None]
    return grant.model_copy(
        update={
            "permissions": newer.permissions,
            "tools": tools,
            "source_cidrs": _common(grant.source_cidrs, newer.source_cidrs, is_subnet),
            "rate_percent": min(grant.rate_percent, newer.rate_percent),
            "expires_at": min(ends, default=None),
        }
    )


def _common(
    former: tuple[str, ...] | None, newer: tuple[str, ...] | None, is_less: Callable[[str, str], bool]
) -> tuple[str, ...] | None:
    """What two lists have in common, of which None restricts nothing."""
    if former is None or newer is None:
        return newer if former is None else former
    kept = [one for one in newer if any(is_less(one, other) for other in former)]
    kept += [one for one in former if one not in newer and any(is_less(one, other) for other in newer)]
    return tuple(kept)


def _selects_less(one: str, other: str) -> bool:
    """Whether a pattern selects only what another one does, where that is easily told."""
    # A pattern's own `*` is more than the one character that `?` stands for.
    return one == other or (("*" not in one or "?" not in other) and selected(ToolSelection(allow=(other,)), one))
