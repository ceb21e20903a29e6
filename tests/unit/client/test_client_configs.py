import json
import shlex
import tomllib
from pathlib import Path

import pytest

from fairlead_client.client_configs import (
    Bearer,
    Snippet,
    http_snippets,
    render,
    server_name,
    stdio_snippets,
)

URL = "http://127.0.0.1:7422/mcp"
COMMAND = ("/opt/bin/fairlead", "serve", "--stdio", "--deny=rm -rf", "deploy@web-01")


def of(client: str, snippets: tuple[Snippet, ...]) -> Snippet:
    return next(snippet for snippet in snippets if snippet.client == client)


def test_every_client_gets_its_lines() -> None:
    clients = ["Claude Code", "Codex", "Cursor", "VS Code", "Gemini CLI"]
    assert [snippet.client for snippet in http_snippets("web-01", URL, Bearer.literal("flt_x"))] == clients
    assert [snippet.client for snippet in stdio_snippets("web-01", COMMAND, agent=False)] == clients


def test_http_lines_carry_url_and_token() -> None:
    snippets = http_snippets("web-01", URL, Bearer.literal("flt_x"))
    assert of("Claude Code", snippets).text == (
        f'claude mcp add --transport http web-01 {URL} --header "Authorization: Bearer flt_x"'
    )
    assert of("Codex", snippets).text == (
        f'export FAIRLEAD_TOKEN="flt_x"\ncodex mcp add web-01 --url {URL} --bearer-token-env-var FAIRLEAD_TOKEN'
    )
    assert of("Gemini CLI", snippets).text == (
        f'gemini mcp add -s user --transport http web-01 {URL} -H "Authorization: Bearer flt_x"'
    )
    assert json.loads(of("Cursor", snippets).text) == {
        "mcpServers": {"web-01": {"url": URL, "headers": {"Authorization": "Bearer flt_x"}}}
    }
    *_, server = shlex.split(of("VS Code", snippets).text)
    assert json.loads(server)["headers"] == {"Authorization": "Bearer flt_x"}


def test_token_kept_in_a_file_is_named_not_shown() -> None:
    text = render(http_snippets("web-01", URL, Bearer.from_file(Path("/home/me/my token"))))
    assert """--header "Authorization: Bearer $(cat '/home/me/my token')\"""" in text
    assert """export FAIRLEAD_TOKEN="$(cat '/home/me/my token')\"""" in text
    assert "Bearer ${env:FAIRLEAD_TOKEN}" in text


def test_token_of_the_environment_is_not_exported_again() -> None:
    text = render(http_snippets("web-01", URL, Bearer.from_environment()))
    assert "export" not in text
    assert '"Authorization: Bearer $FAIRLEAD_TOKEN"' in text


def test_stdio_lines_start_the_same_command() -> None:
    snippets = stdio_snippets("web-01", COMMAND, agent=False)
    _, _, _, name, dashes, *command = shlex.split(of("Claude Code", snippets).text)
    assert (name, dashes, tuple(command)) == ("web-01", "--", COMMAND)
    gemini = shlex.split(of("Gemini CLI", snippets).text)
    assert tuple(word for word in gemini[gemini.index("web-01") + 1 :] if word != "--") == COMMAND
    cursor = json.loads(of("Cursor", snippets).text)["mcpServers"]["web-01"]
    assert (cursor["command"], *cursor["args"]) == COMMAND


def test_agent_is_passed_on_by_clients_that_would_drop_it() -> None:
    snippets = stdio_snippets("web-01", COMMAND, agent=True)
    codex = tomllib.loads(of("Codex", snippets).text)["mcp_servers"]["web-01"]
    assert codex["env_vars"] == ["SSH_AUTH_SOCK"]
    assert (codex["command"], *codex["args"]) == COMMAND
    assert "-e 'SSH_AUTH_SOCK=$SSH_AUTH_SOCK'" in of("Gemini CLI", snippets).text


@pytest.mark.parametrize(
    ("host", "name"), [("web-01", "web-01"), ("web.corp.example", "web-corp-example"), ("::1", "1"), ("%", "host")]
)
def test_server_name_suits_every_client(host: str, name: str) -> None:
    assert server_name(host) == name
