"""`fairlead connect ssh://…`: an account whose command speaks MCP on stdio."""

import shutil
import stat
import subprocess
from pathlib import Path

import asyncssh
import mcp_types as types
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from tests.integration.app.endpoint import INITIALIZE, call
from tests.integration.client.connecting import by_hand
from tests.integration.client.person import ENDING_SECONDS, FAIRLEAD, Era, Person
from tests.integration.sshd import Sshd, SshdFactory, eventually

SERVER = "/usr/bin/python3 server.py"


@pytest.fixture
def sshd(sshd_factory: SshdFactory) -> Sshd:
    """The account has the server in its home directory."""
    sshd = sshd_factory(username="deploy")
    shutil.copy(Path(__file__).with_name("stdio_server.py"), sshd.home / "server.py")
    return sshd


@pytest.fixture
def forced(sshd: Sshd) -> Sshd:
    """The account's key may do nothing but speak MCP."""
    sshd.authorize(sshd.client_key, prefix=f'restrict,command="{SERVER}"')
    return sshd


def url(sshd: Sshd) -> str:
    return f"ssh://{sshd.username}@{sshd.address}:{sshd.port}"


def started(person: Person, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=FAIRLEAD[0], args=[*FAIRLEAD[1:], "connect", *arguments], env=person.environment
    )


async def said(client: Client) -> str:
    (content,) = (await client.call_tool("whoami", {})).content
    assert isinstance(content, types.TextContent)
    return content.text


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_forced_command_is_reached_with_the_persons_own_key(person: Person, forced: Sshd, era: Era) -> None:
    person.is_at_home_on(forced)
    async with Client(stdio_client(started(person, url(forced))), mode=era) as client:
        assert await said(client) == "- False"


async def test_a_command_is_parsed_by_the_accounts_shell(person: Person, sshd: Sshd) -> None:
    person.is_at_home_on(sshd)
    command = ("echo not MCP;", *SERVER.split())
    async with by_hand(url(sshd), "--", *command, env=person.environment, log=person.home / "log") as client:
        assert "result" in await client.answer(INITIALIZE)
        assert "No MCP: not MCP" in client.said
        assert await client.ends() == 0


async def test_an_account_that_has_a_shell_and_no_server_is_told_of_the_command_that_lacks(
    person: Person, sshd: Sshd
) -> None:
    (sshd.home / ".profile").write_text("echo welcome\n")
    person.is_at_home_on(sshd)
    async with by_hand(url(sshd), env=person.environment, log=person.home / "log") as client:
        await eventually(lambda: "No MCP: welcome" in client.said, "the greeting")
        await eventually(lambda: "give the command that speaks MCP, after --" in client.said, "what to do")
        assert await client.ends() == 0


async def test_a_key_is_made_and_lets_in_once_the_server_knows_it(person: Person, sshd: Sshd) -> None:
    person.knows(sshd)
    key = person.home / "keys" / "mcp"
    arguments = ("--client-key", str(key), url(sshd), "--", SERVER)
    refused = person.runs("connect", *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    public = key.with_name("mcp.pub").read_text()
    assert public.startswith("ssh-ed25519 ")
    assert public.strip() in refused.stderr
    assert "refused the login" in refused.stderr
    sshd.authorize(asyncssh.import_public_key(public))
    async with Client(stdio_client(started(person, *arguments))) as client:
        assert await said(client) == "- False"


async def test_a_key_with_a_passphrase_is_unlocked_from_a_file(person: Person, forced: Sshd) -> None:
    person.knows(forced)
    key = person.has_key(forced.client_key, "locked", passphrase="open sesame")
    secret = person.home / "passphrase"
    secret.write_text("wrong\n")
    secret.chmod(0o600)
    missing = person.runs("connect", "--client-key", str(key), url(forced))
    assert (missing.returncode, "give it with --passphrase-file" in missing.stderr) == (1, True)
    arguments = ("--client-key", str(key), "--passphrase-file", str(secret), url(forced))
    assert "the passphrase does not open the key" in person.runs("connect", *arguments).stderr
    secret.write_text("open sesame\n")
    async with Client(stdio_client(started(person, *arguments))) as client:
        assert await said(client) == "- False"


def test_a_key_that_others_can_read_is_refused(person: Person, forced: Sshd) -> None:
    person.knows(forced)
    key = person.has_key(forced.client_key, "open")
    key.chmod(0o644)
    assert "chmod 600" in person.runs("connect", "--client-key", str(key), url(forced)).stderr


def test_an_unknown_host_key_is_refused_and_can_be_looked_at_as_the_message_says(person: Person, forced: Sshd) -> None:
    key = person.has_key(forced.client_key)
    result = person.runs("connect", "--client-key", str(key), url(forced))
    assert (result.returncode, result.stdout) == (1, "")
    assert forced.fingerprint in result.stderr
    assert "Nothing was sent to it" in result.stderr
    assert f"ssh-keyscan -p {forced.port} {forced.address} > key" in result.stderr
    commands = f"ssh-keyscan -p {forced.port} {forced.address} > key && cat key >> {person.ssh}/known_hosts"
    subprocess.run(commands, shell=True, check=True, cwd=person.home, timeout=ENDING_SECONDS, capture_output=True)
    known = f"ssh-keygen -F '[{forced.address}]:{forced.port}' -lf {person.ssh}/known_hosts"
    listed = subprocess.run(known, shell=True, check=True, text=True, capture_output=True, timeout=ENDING_SECONDS)
    assert forced.fingerprint in listed.stdout
    assert person.runs("connect", "--client-key", str(key), url(forced)).returncode == 0


def test_a_changed_host_key_is_refused(person: Person, forced: Sshd) -> None:
    person.has_key(forced.client_key)
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    known_hosts = person.home / "known"
    known_hosts.write_text(f"[{forced.address}]:{forced.port} {other}\n")
    result = person.runs("connect", "--known-hosts", str(known_hosts), url(forced))
    assert (result.returncode, result.stdout) == (1, "")
    assert forced.fingerprint in result.stderr
    assert f"ssh-keygen -R '[{forced.address}]:{forced.port}' -f {known_hosts}" in result.stderr


async def test_a_server_that_ends_answers_what_was_under_way_and_ends_it(person: Person, sshd: Sshd) -> None:
    person.is_at_home_on(sshd)
    async with by_hand(url(sshd), "--", SERVER, env=person.environment, log=person.home / "log") as client:
        await client.answer(INITIALIZE)
        await client.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        answer = await client.answer(call("die", code=3))
        assert "ended with exit status 3" in answer["error"]["message"]
        assert await client.exits() == 1


async def test_a_lost_connection_is_named(person: Person, sshd: Sshd) -> None:
    person.is_at_home_on(sshd)
    async with by_hand(url(sshd), "--", SERVER, env=person.environment, log=person.home / "log") as client:
        await client.answer(INITIALIZE)
        sshd.stop()
        assert await client.exits() == 1
        assert f"The connection to {sshd.address}:{sshd.port} was lost" in client.said


async def test_a_command_that_is_not_there_is_named(person: Person, sshd: Sshd) -> None:
    person.is_at_home_on(sshd)
    async with by_hand(url(sshd), "--", "no-such-server", env=person.environment, log=person.home / "log") as client:
        assert await client.exits() == 1
        assert "The command was not found" in client.said


def test_a_key_server_on_another_machine_must_speak_https(person: Person) -> None:
    key = person.home / "keys" / "mcp"
    result = person.runs("connect", "--use-key-server", "--client-key", str(key), "ssh://mcp@192.0.2.1:8022")
    assert (result.returncode, result.stdout) == (1, "")
    assert "whoever is on the way could name a host key of their own" in result.stderr
    assert "curl http://127.0.0.1:8000/server_pub_key" in result.stderr
    assert not key.exists()
