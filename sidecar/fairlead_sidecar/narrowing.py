"""What a sidecar takes over from a configuration that it does not understand: that somebody is to be let in no longer.

During an upgrade the operator is newer than the pods that it has not replaced yet, and a file that it writes may hold
fields which those don't know. They stay with the configuration they have, but a revocation must not wait for that.
"""

from typing import Any

import pydantic_core
from pydantic import ValidationError

from fairlead_sidecar.config import SidecarConfig, TokenGrant

_KNOWN = TokenGrant.model_fields.keys()


def narrowed(config: SidecarConfig, raw: bytes) -> SidecarConfig | None:
    """The configuration in force with fewer tokens, or with tokens that may do less; None where nothing is to change.

    Args:
        config: In force.
        raw: A file that does not fit the contract as this version knows it.
    """
    try:
        listed = pydantic_core.from_json(raw)["tokens"]
        entries = {(entry["id"], entry["secret_sha256"]): entry for entry in listed}
    except (ValueError, TypeError, KeyError):
        # It is no configuration of any version.
        return None
    tokens = tuple(
        token
        for grant in config.tokens
        if (entry := entries.get((grant.id, grant.secret_sha256))) is not None
        and (token := _less(grant, entry)) is not None
    )
    return None if tokens == config.tokens else config.model_copy(update={"tokens": tokens})


def _less(grant: TokenGrant, entry: dict[str, Any]) -> TokenGrant | None:
    """The grant as far as the newer one allows it; None where that can't be read: it may be meant to end it."""
    known = {name: value for name, value in entry.items() if name in _KNOWN}
    try:
        known["permissions"] = [name for name in grant.permissions if name in known["permissions"]]
        return TokenGrant.model_validate_json(pydantic_core.to_json(known))
    except (ValidationError, TypeError, KeyError):
        return None
