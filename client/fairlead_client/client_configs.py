"""The lines a person pastes into an MCP client: Claude Code, Codex, Cursor, VS Code and Gemini CLI.

Each was tried with the client itself (Claude Code 2.1, Codex 0.169, Gemini CLI 0.61) or follows its vendor's reference
(Cursor: `mcp.json`; VS Code: `code --add-mcp`).
"""

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

TOKEN_VARIABLE = "FAIRLEAD_TOKEN"  # noqa: S105 - the name of an environment variable, not a token
"""Codex takes a bearer token only from an environment variable; this is the one that the lines name."""


@dataclass(frozen=True)
class Bearer:
    """How a token is written down: itself, or where it can be had so that it need not be shown."""

    in_shell: str = field(repr=False)
    """For use between double quotes in a shell."""
    in_json: str = field(repr=False)
    """For use in a client's configuration file."""
    exported: bool = False
    """Whether the environment holds it already."""

    @classmethod
    def literal(cls, token: str) -> Self:
        """The token itself."""
        return cls(in_shell=token, in_json=token)

    @classmethod
    def from_environment(cls) -> Self:
        """The token stays in the environment variable."""
        return cls(in_shell=f"${TOKEN_VARIABLE}", in_json=f"${{env:{TOKEN_VARIABLE}}}", exported=True)

    @classmethod
    def from_file(cls, file: Path) -> Self:
        """The token stays in a file."""
        return cls(in_shell=f"$(cat {shlex.quote(str(file))})", in_json=f"${{env:{TOKEN_VARIABLE}}}")


@dataclass(frozen=True)
class Snippet:
    """What one client needs."""

    client: str
    place: str
    """Where the text goes: `run` for a shell, else a file to put it into."""
    text: str


def server_name(text: str) -> str:
    """A name that every client takes (letters, digits, hyphens, underscores), made from a host's name or address."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text).strip("-") or "host"


def http_snippets(name: str, url: str, bearer: Bearer) -> tuple[Snippet, ...]:
    """For a server at a URL that asks for a bearer token."""
    authorization = f'"Authorization: Bearer {bearer.in_shell}"'
    headers = {"Authorization": f"Bearer {bearer.in_json}"}
    export = "" if bearer.exported else f'export {TOKEN_VARIABLE}="{bearer.in_shell}"\n'
    return (
        Snippet("Claude Code", "run", f"claude mcp add --transport http {name} {url} --header {authorization}"),
        Snippet("Codex", "run", f"{export}codex mcp add {name} --url {url} --bearer-token-env-var {TOKEN_VARIABLE}"),
        Snippet("Cursor", "~/.cursor/mcp.json", _pretty({"mcpServers": {name: {"url": url, "headers": headers}}})),
        Snippet("VS Code", "run", _add_mcp({"name": name, "type": "http", "url": url, "headers": headers})),
        Snippet("Gemini CLI", "run", f"gemini mcp add -s user --transport http {name} {url} -H {authorization}"),
    )


def stdio_snippets(name: str, command: Sequence[str], *, agent: bool) -> tuple[Snippet, ...]:
    """For a server that the client starts itself.

    Args:
        name: What the client calls it.
        command: The program, absolute (graphical clients have a short PATH), and its arguments, the first of which
            is no option.
        agent: Whether the SSH keys are in ssh-agent; several clients start servers without its environment variable.
    """
    program, first, *rest = command
    line = shlex.join(command)
    gemini = f"{shlex.join([program, first])} -- {shlex.join(rest)}"
    launch: dict[str, object] = {"command": program, "args": [first, *rest]}
    codex = Snippet("Codex", "run", f"codex mcp add {name} -- {line}")
    cursor = dict(launch)
    if agent:
        codex = Snippet("Codex", "~/.codex/config.toml", _toml(name, command))
        cursor["env"] = {"SSH_AUTH_SOCK": "${env:SSH_AUTH_SOCK}"}
        gemini = f"-e 'SSH_AUTH_SOCK=$SSH_AUTH_SOCK' {gemini}"
    return (
        Snippet("Claude Code", "run", f"claude mcp add {name} -- {line}"),
        codex,
        Snippet("Cursor", "~/.cursor/mcp.json", _pretty({"mcpServers": {name: cursor}})),
        Snippet("VS Code", "run", _add_mcp({"name": name, **launch})),
        Snippet("Gemini CLI", "run", f"gemini mcp add -s user {name} {gemini}"),
    )


def render(snippets: Sequence[Snippet]) -> str:
    """The snippets as a terminal shows them."""
    blocks = []
    for snippet in snippets:
        place = "" if snippet.place == "run" else f"  (into {snippet.place})"
        indented = "\n".join(f"    {line}" for line in snippet.text.splitlines())
        blocks.append(f"  {snippet.client}{place}\n{indented}")
    return "\n\n".join(blocks)


def _pretty(value: object) -> str:
    return json.dumps(value, indent=2)


def _add_mcp(server: dict[str, object]) -> str:
    return f"code --add-mcp {shlex.quote(json.dumps(server))}"


def _toml(name: str, command: Sequence[str]) -> str:
    program, *arguments = command
    # A JSON string is a TOML basic string too.
    return (
        f"[mcp_servers.{name}]\n"
        f"command = {json.dumps(program)}\n"
        f"args = {json.dumps(arguments)}\n"
        'env_vars = ["SSH_AUTH_SOCK"]'
    )
