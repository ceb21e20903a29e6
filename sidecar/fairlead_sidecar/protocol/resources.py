"""Files of the host as MCP resources, `ssh://<host>/<path>`, for a person to attach to a conversation.

Behind them are the tools `read_file` and `list_directory`, with their permission, policy, bounds and audit lines.
"""

import json
import logging
import mimetypes
import posixpath
from functools import cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import mcp_types as types
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from fairlead_sidecar import schema
from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.config import SidecarConfig
from fairlead_sidecar.errors import ConfirmationRefused, FairleadError, FileError, InvalidRequest
from fairlead_sidecar.protocol.caller import Context
from fairlead_sidecar.protocol.running import Runner, Turn
from fairlead_sidecar.reload import Active
from fairlead_sidecar.tools.spec import Failed

logger = logging.getLogger(__name__)

READ = "resources/read"
READ_TOOL, LIST_TOOL = "read_file", "list_directory"
MOST_BYTES = 256 * 1024
"""Largest file that a resource gives: what is more is better read in pieces."""
MOST_ENTRIES = 500
MOST_ENTRY_POINTS = 20
DIRECTORY = "inode/directory"
_NOT_FOUND = -32002
"""What handshake protocols call a resource that is not there."""


@cache
def _types() -> mimetypes.MimeTypes:
    """Only what Python brings: no file of this machine has a say in it."""
    return mimetypes.MimeTypes()


def template(config: SidecarConfig) -> str:
    """The URI template of all files of a host."""
    return f"ssh://{config.name}/{{+path}}"


def uri_of(config: SidecarConfig, path: str) -> str:
    """The URI of an absolute path, or one that begins with `~/`."""
    return f"ssh://{config.name}/{quote(path.removeprefix('/'), safe='/~')}"


def path_of(uri: str, config: SidecarConfig) -> str:
    """The path that a URI names: absolute, or from the home where it begins with `/~/`.

    Raises:
        InvalidRequest: It is no URI of this host's files.
    """
    hint = f"A file's URI is {template(config)}, with a percent sign, `?` and `#` in the path percent-encoded."
    try:
        parts = urlsplit(uri)
        path = unquote(parts.path, errors="strict")
        known = parts.scheme == "ssh" and parts.netloc.lower() == config.name and path.startswith("/")
    except ValueError:
        raise InvalidRequest("This is no URI.", hint=hint) from None
    if not known:
        raise InvalidRequest(f"This is no URI of a file on {config.name}.", hint=hint)
    if parts.query or parts.fragment or uri.endswith(("?", "#")):
        raise InvalidRequest("A file's URI has neither query nor fragment.", hint=hint)
    return path[1:] if path == "/~" or path.startswith("/~/") else path


def served(active: Active, caller: Caller) -> bool:
    """Whether the caller may read files of the host at all."""
    tool = active.tools.get(READ_TOOL)
    return tool is not None and caller.may_use(tool.permission, READ_TOOL)


def entry_points(active: Active, caller: Caller) -> list[types.Resource]:
    """Where to begin: the directories that the policy names, else the home and where commands start."""
    if not served(active, caller):
        return []
    config = active.config
    named = config.policy.paths.read
    if named is None:
        directory = config.environment.working_directory
        places = [("~/", "Home directory")] + ([(directory, "Where commands start")] if directory else [])
    else:
        places = [(path, "Readable directory") for path in named[:MOST_ENTRY_POINTS]]
    return [
        types.Resource(uri=uri_of(config, path), name=path, title=f"{meaning} on {config.name}", mime_type=DIRECTORY)
        for path, meaning in places
    ]


def templates(active: Active, caller: Caller) -> list[types.ResourceTemplate]:
    """The template of all files."""
    if not served(active, caller):
        return []
    return [
        types.ResourceTemplate(
            uri_template=template(active.config),
            name="file",
            title=f"Files on {active.config.name}",
            description=f"A file or directory on {active.config.name}; the path begins at the root, or `~/` at home.",
        )
    ]


class Resources:
    """Serves `resources/read`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def read(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        """A file's content, or a directory's entries, and an audit line."""
        with self._runner.recorder.recording(ctx, READ) as record:
            record.label = READ
            turn = self._runner.admit(ctx, record)
            try:
                record.facts["path"] = params.uri
                content = await self._content(turn, params.uri)
            except FairleadError as error:
                self._runner.failed(record, error)
                raise _refused(error, turn, params.uri) from None
            except Exception:
                # As with tools: an unforeseen error's text may hold what the caller must not see.
                logger.exception("Reading a resource failed unexpectedly")
                raise _refused(FairleadError("Reading failed unexpectedly."), turn, params.uri) from None
            record.outcome = "ok"
            return types.ReadResourceResult(contents=[content])

    async def _content(self, turn: Turn, uri: str) -> types.TextResourceContents | types.BlobResourceContents:
        config = turn.active.config
        path, most = path_of(uri, config), min(MOST_BYTES, config.limits.output_bytes)
        try:
            file = await use(self._runner, turn, READ_TOOL, {"path": path, "max_bytes": most})
        except FileError:
            # A directory, perhaps; where it is not, what was wrong with the file is what counts.
            try:
                listing = await use(self._runner, turn, LIST_TOOL, {"path": path, "limit": MOST_ENTRIES})
            except FileError:
                listing = None
            if listing is None:
                raise
            return _directory(config, uri, listing)
        if file["next_offset"] is not None:
            raise InvalidRequest(
                f"The file has more than {most} bytes, too many for a resource.",
                hint="Read it in pieces with the tool read_file.",
            )
        return _file(uri, path, file)


async def use(runner: Runner, turn: Turn, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """What a tool gives, as its structured result has it.

    Raises:
        FairleadError: It may not run, or failed.
    """
    tool = turn.active.tools.get(name)
    if tool is None:
        raise InvalidRequest("This host does not offer its files.", hint="Ask its owner for the tool group Files.")
    try:
        result = await runner.run(turn, tool, given, _not_asked)
    except Failed as failure:
        raise failure.error from None
    return result.model_dump(mode="json")


async def _not_asked(_question: str) -> None:
    raise ConfirmationRefused("A person has to agree to this, which they can only where a tool is called.")


def _file(uri: str, path: str, file: dict[str, Any]) -> types.TextResourceContents | types.BlobResourceContents:
    guess, compression = _types().guess_type(posixpath.basename(path), strict=False)
    if file["encoding"] == "base64":
        mime_type = "application/octet-stream" if compression or guess is None else guess
        return types.BlobResourceContents(uri=uri, mime_type=mime_type, blob=file["content"])
    return types.TextResourceContents(uri=uri, mime_type=guess or "text/plain", text=file["content"])


def _directory(config: SidecarConfig, uri: str, listing: dict[str, Any]) -> types.TextResourceContents:
    entries = [
        entry | {"uri": uri_of(config, posixpath.join(listing["path"], entry["name"]))} for entry in listing["entries"]
    ]
    text = json.dumps({"path": listing["path"], "entries": entries, "truncated": listing["truncated"]}, indent=1)
    return types.TextResourceContents(uri=uri, mime_type="application/json", text=text)


def _refused(error: FairleadError, turn: Turn, uri: str) -> MCPError:
    if isinstance(error, FileError) and turn.ctx.protocol_version not in MODERN_PROTOCOL_VERSIONS:
        code = _NOT_FOUND
    else:
        code = types.INVALID_PARAMS if isinstance(error, (InvalidRequest, FileError)) else types.INTERNAL_ERROR
    data = schema.described_error(error, turn.active.config.name) | {"uri": uri}
    return MCPError(code=code, message=f"{error.message} {error.hint}".strip(), data=data)
