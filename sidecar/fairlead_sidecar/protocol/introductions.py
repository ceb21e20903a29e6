"""What a client is told of upstream servers when it begins: by the host, and at the own endpoint of one."""

from contextlib import suppress

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.access.selection import selected
from fairlead_sidecar.config import Permission
from fairlead_sidecar.errors import FairleadError
from fairlead_sidecar.protocol.servers import rest_of
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.redact import redactor
from fairlead_sidecar.upstream.names import SEPARATOR
from fairlead_sidecar.upstream.spec import Catalogue, Json, Upstream

MOST_CHARACTERS = 2000
"""What is told of one server's own instructions, where there may be many servers."""
_PASSED_ON = frozenset({"tools", "prompts", "resources", "completions", "logging"})


def among_all(result: Json, upstreams: dict[str, Upstream], active: Active, caller: Caller) -> Json:
    """The host's introduction, with a sentence on its MCP servers for a caller that may use them."""
    told = [
        _described(name, _masked(upstream.catalogue.instructions, active))
        for name, upstream in upstreams.items()
        if _knows(caller, name)
    ]
    if not told:
        return result
    text = f"Tools called `<server>{SEPARATOR}<tool>` belong to MCP servers on the host: {' '.join(told)}"
    return {**result, "instructions": f"{result.get('instructions') or ''} {text}".strip()}


def of_one(result: Json, name: str, upstream: Upstream, active: Active, caller: Caller) -> Json:
    """The introduction of one server, as far as it said anything; of one that is down, why it is."""
    catalogue, status = upstream.catalogue, upstream.status()
    introduced = {**result, "capabilities": capabilities(result.get("capabilities") or {}, catalogue)}
    introduced.pop("instructions", None)
    said = catalogue.instructions if status.ready else f"The MCP server {name} does not work now: {status.message}"
    if _knows(caller, name) and (instructions := _masked(said, active)):
        introduced["instructions"] = instructions
    if "serverInfo" in introduced:
        introduced["serverInfo"] = info(name, catalogue)
    return introduced


def info(name: str, catalogue: Catalogue) -> Json:
    """A server's `serverInfo`; what it must have is there also where the server is down."""
    return {"name": name, "version": "", **catalogue.server_info}


def capabilities(own: Json, catalogue: Catalogue) -> Json:
    """What a server can do through Fairlead: what we can pass on, but for what a server that is up does not have."""
    up, has = bool(catalogue.protocol_version), catalogue.capabilities
    return {name: value for name, value in own.items() if name in _PASSED_ON and (name in has or not up)}


def _masked(text: str, active: Active) -> str:
    """Words of a server without what the host's policy masks; nothing where that can't be told."""
    with suppress(FairleadError):
        return redactor(active.config.policy.redact).text(text)
    return ""


def _described(name: str, instructions: str) -> str:
    text = instructions.strip()
    return f"`{name}`: {text[:MOST_CHARACTERS]}" if text else f"`{name}`."


def _knows(caller: Caller, server: str) -> bool:
    return Permission.CALL in caller.permissions and selected(caller.tools, rest_of(server))
