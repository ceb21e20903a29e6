"""A client's own file of MCP servers (`{"mcpServers": {…}}`; VS Code: `{"servers": {…}}`), in a RemoteHost's words."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from pydantic import ValidationError

from fairlead_api.mcp_servers import McpServer
from fairlead_client.serve.host_file import HostFileError, problems

LONGEST_NAME = 32
_UNDERSTOOD = {
    "stdio": frozenset({"type", "command", "args", "env", "cwd"}),
    "http": frozenset({"type", "url", "headers"}),
}
_TYPES = {"stdio": "stdio", "http": "http", "streamable-http": "http", "streamablehttp": "http", "sse": "sse"}
_FROM_HERE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")
_ASKED_FOR = re.compile(r"\$\{[A-Za-z]+:[^}]*\}")


class ServersFile:
    """What a file says."""

    def __init__(self, file: Path, own: Mapping[str, str]) -> None:
        """Read it.

        Args:
            file: JSON.
            own: The environment that `fairlead` runs in, for `${env:NAME}`.

        Raises:
            HostFileError: It can't be used; the message has the place.
        """
        self._file = file
        self._own = own
        self.notes: list[str] = []
        """What is passed over, for the person to know."""
        self.servers: list[dict[str, Any]] = []
        """As in `spec.mcpServers`."""
        names: dict[str, str] = {}
        for key, (place, said) in self._said().items():
            name = valid_name(key)
            if not name:
                self._refuse(place, "this name has no letter or digit: give it another one")
            if name in names:
                self._refuse(place, f"{names[name]!r} and {key!r} would both be called {name!r}: rename one of them")
            names[name] = key
            if name != key:
                self.notes.append(f"{place}: it is called {name!r} here")
            if said.get("disabled") is True:
                self.notes.append(f"{place}: it is disabled, and left out")
                continue
            server = {"name": name, **self._server(place, said)}
            try:
                McpServer.model_validate(server)
            except ValidationError as error:
                self._refuse(place, "; ".join(problems(error)))
            self.servers.append(server)

    def _said(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Place and content of each server, by its name in the file."""
        try:
            content = json.loads(self._file.read_text("utf-8-sig"), object_pairs_hook=self._once)
        except OSError as error:
            raise HostFileError(f"{self._file} can't be read: {error.strerror}") from error
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise HostFileError(f"{self._file} is no JSON: {error}") from error
        named = [key for key in ("mcpServers", "servers") if isinstance(content, dict) and key in content]
        if len(named) != 1 or not isinstance(content[named[0]], dict):
            raise HostFileError(f'{self._file} must hold {{"mcpServers": {{NAME: {{"command": …}}}}}}')
        (top,) = named
        found = {}
        for key, said in content[top].items():
            place = f"{top}.{key}"
            if not isinstance(said, dict):
                self._refuse(place, "must be an object with command or url")
            found[key] = (place, said)
        return found

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            twice = next(key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1)
            raise HostFileError(f"{self._file}: {twice!r} occurs twice in one object: remove one of them")
        return found

    def _server(self, place: str, said: dict[str, Any]) -> dict[str, Any]:
        if ("command" in said) == ("url" in said):
            found = f"; it has {', '.join(sorted(said))}" if said else ""
            self._refuse(place, f"needs command, or url: one of the two{found}")
        kind = self._kind(place, said)
        understood = _UNDERSTOOD["stdio" if kind == "stdio" else "http"]
        if unknown := sorted(said.keys() - understood - {"disabled"}):
            self.notes.append(f"{place}: ignored: {', '.join(unknown)}")
        if kind == "stdio":
            return {"type": "Stdio", "stdio": self._stdio(place, said)}
        headers = [
            {"name": name, "value": value} for name, value in self._map(place, "headers", said.get("headers")).items()
        ]
        http = {
            "url": self._text(f"{place}.url", said["url"]),
            "transport": "SSE" if kind == "sse" else "StreamableHTTP",
            "headers": headers or None,
        }
        return {"type": "HTTP", "http": http}

    def _kind(self, place: str, said: dict[str, Any]) -> str:
        given = said.get("type")
        if given is None:
            if "command" in said:
                return "stdio"
            return "sse" if urlsplit(str(said["url"])).path.rstrip("/").endswith("/sse") else "http"
        kind = _TYPES.get(str(given).lower())
        if kind is None or (kind == "stdio") != ("command" in said):
            wanted = "stdio" if "command" in said else "http or sse"
            self._refuse(f"{place}.type", f"{given!r} does not fit: it must be {wanted}, or left out")
        return kind

    def _stdio(self, place: str, said: dict[str, Any]) -> dict[str, Any]:
        args = said.get("args") or []
        if not isinstance(args, list):
            self._refuse(f"{place}.args", "must be a list")
        command = self._text(f"{place}.command", said["command"])
        if " " in command and not command.startswith("/"):
            self._refuse(f"{place}.command", "is a command line: put each word after the program into args")
        variables = self._map(place, "env", said.get("env"))
        stdio: dict[str, Any] = {
            "command": command,
            "args": [self._text(f"{place}.args[{number}]", word) for number, word in enumerate(args)] or None,
            "env": [{"name": name, "value": value} for name, value in variables.items()] or None,
        }
        if said.get("cwd"):
            stdio["workingDirectory"] = self._text(f"{place}.cwd", said["cwd"])
            if not stdio["workingDirectory"].startswith("/"):
                self._refuse(f"{place}.cwd", "is not absolute: it is a directory on the host, like /srv")
        return stdio

    def _map(self, place: str, key: str, said: object) -> dict[str, str]:
        if said is None:
            return {}
        if not isinstance(said, dict):
            self._refuse(f"{place}.{key}", "must be an object")
        return {name: self._text(f"{place}.{key}.{name}", value) for name, value in said.items()}

    def _text(self, place: str, said: object) -> str:
        if isinstance(said, bool) or not isinstance(said, str | int | float):
            self._refuse(place, "must be a string")
        text = str(said)
        if asked := _ASKED_FOR.search(_FROM_HERE.sub("", text)):
            self._refuse(place, f"{asked[0]} is filled in by editors only: write the value, or ${{env:NAME}}")
        for name in _FROM_HERE.findall(text):
            if name not in self._own:
                self._refuse(place, f"the variable {name} is not set where fairlead runs")
        return _FROM_HERE.sub(lambda match: self._own[match[1]], text)

    def _refuse(self, place: str, why: str) -> NoReturn:
        raise HostFileError(f"{self._file}: {place}: {why}")


def valid_name(name: str) -> str:
    """A name that tools can begin with, always the same for the same name; empty where nothing of it is left."""
    valid = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if valid and not valid[0].isalpha():
        valid = f"s-{valid}"
    return valid[:LONGEST_NAME].rstrip("-")
