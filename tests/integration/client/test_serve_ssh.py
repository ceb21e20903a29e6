"""`fairlead serve` reaches a host as `ssh` does, and refuses what `ssh` with strict checking refuses."""

import asyncio
import subprocess
from pathlib import Path

import asyncssh
import pytest

from tests.integration.client.person import ENDING_SECONDS, Person, Served, ssh_agent
from tests.integration.ssh.silent import silent_server
from tests.integration.sshd import PASSWORD, Sshd, SshdFactory, free_port


async def output_of(served: Served, command: str) -> str:
    async with served.connected() as client:
        result = await client.call_tool("execute_command", {"command": command})
        return str((result.structured_content or {})["stdout"])


def refused(person: Person, *arguments: str) -> str:
    """What is said when it can't begin; always in sentences, never with a traceback."""
    result = person.runs("serve", "--listen-port=0", *arguments)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert result.stderr.startswith("fairlead: ")
    assert "Traceback" not in result.stderr
    return result.stderr


# --- finding the host and the key ---


async def test_alias_brings_address_port_user_and_key(person: Person, sshd_factory: SshdFactory) -> None:
    sshd = sshd_factory(username="deploy")
    key = person.has_key(sshd.client_key, "web_key")
    person.knows(sshd)
    person.configures(f"Host web\n  HostName 127.0.0.1\n  Port {sshd.port}\n  User deploy\n  IdentityFile {key}\n")
    with person.serves("web") as served:
        assert await output_of(served, "id -un") == "deploy\n"
    assert "claude mcp add --transport http web http://" in served.said


async def test_proxy_jump_leads_through_another_server(person: Person, sshd_factory: SshdFactory) -> None:
    bastion, target = sshd_factory(username="gate"), sshd_factory(username="deploy")
    person.knows(bastion)
    person.knows(target)
    person.configures(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User gate\n"
        f"  IdentityFile {person.has_key(bastion.client_key, 'bastion_key')}\n"
        f"Host web\n  HostName 127.0.0.1\n  Port {target.port}\n  User deploy\n  ProxyJump bastion\n"
        f"  IdentityFile {person.has_key(target.client_key, 'target_key')}\n"
    )
    with person.serves("web") as served:
        assert await output_of(served, "id -un") == "deploy\n"
        assert bastion.connection_processes()


def test_jump_host_with_an_unknown_key_is_refused_too(person: Person, sshd_factory: SshdFactory) -> None:
    bastion, target = sshd_factory(username="deploy"), sshd_factory(username="deploy")
    person.has_key(target.client_key)
    person.knows(target)
    person.configures(f"Host web\n  HostName 127.0.0.1\n  Port {target.port}\n  ProxyJump 127.0.0.1:{bastion.port}\n")
    said = refused(person, "deploy@web")
    assert bastion.fingerprint in said
    assert "has no entry for it" in said


async def test_identity_of_the_command_line_is_used(person: Person, sshd: Sshd, tmp_path: Path) -> None:
    person.knows(sshd)
    key = person.has_key(sshd.client_key, "somewhere_else")
    with person.serves(f"--identity={key}", f"--port={sshd.port}", f"deploy@{sshd.address}") as served:
        assert await output_of(served, "echo in") == "in\n"


def test_an_identity_that_holds_no_key_is_named(person: Person, sshd: Sshd, tmp_path: Path) -> None:
    person.knows(sshd)
    good, bad = person.has_key(sshd.client_key, "good"), tmp_path / "no-key"
    bad.write_text("not a key\n")
    said = refused(person, f"--identity={good}", f"--identity={bad}", f"deploy@{sshd.address}:{sshd.port}")
    assert f"The identity {bad} can't be read" in said


async def test_ssh_config_and_known_hosts_of_the_command_line_are_used(
    person: Person, sshd: Sshd, tmp_path: Path
) -> None:
    config, known_hosts = tmp_path / "config", tmp_path / "known"
    key = person.has_key(sshd.client_key, "elsewhere")
    config.write_text(f"Host web\n HostName 127.0.0.1\n Port {sshd.port}\n User deploy\n IdentityFile {key}\n")
    known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    with person.serves(f"--ssh-config={config}", f"--known-hosts={known_hosts}", "web") as served:
        assert await output_of(served, "echo in") == "in\n"


async def test_key_that_only_the_agent_holds_is_used(person: Person, sshd: Sshd, tmp_path: Path) -> None:
    person.knows(sshd)
    key = tmp_path / "key"
    key.write_bytes(sshd.client_key.export_private_key("openssh"))
    key.chmod(0o600)
    with ssh_agent(tmp_path / "agent", key) as socket:
        key.unlink()
        person.environment["SSH_AUTH_SOCK"] = socket
        with person.serves(f"deploy@{sshd.address}:{sshd.port}") as served:
            assert await output_of(served, "echo in") == "in\n"


async def test_hashed_known_hosts_entry_is_found(person: Person, sshd: Sshd) -> None:
    destination = person.is_at_home_on(sshd)
    hashing = ("ssh-keygen", "-q", "-H", "-f", str(person.ssh / "known_hosts"))
    await asyncio.to_thread(subprocess.run, hashing, check=True, capture_output=True)
    assert "127.0.0.1" not in (person.ssh / "known_hosts").read_text()
    with person.serves(destination) as served:
        assert await output_of(served, "echo in") == "in\n"


async def test_ipv6_address_with_a_port_stands_in_brackets(person: Person, sshd_factory: SshdFactory) -> None:
    sshd = sshd_factory(username="deploy", options={"ListenAddress": "127.0.0.1\nListenAddress ::1"})
    person.has_key(sshd.client_key)
    person.knows(sshd, address="::1")
    with person.serves(f"deploy@[::1]:{sshd.port}") as served:
        assert await output_of(served, "echo in") == "in\n"


# --- host keys ---


def test_unknown_host_key_is_refused_with_fingerprint_and_what_to_run(person: Person, sshd: Sshd) -> None:
    person.has_key(sshd.client_key)
    said = refused(person, f"deploy@127.0.0.1:{sshd.port}")
    assert sshd.fingerprint in said
    assert "has no entry for it" in said
    assert f"run `ssh -p {sshd.port} deploy@127.0.0.1` once and answer yes" in said


def test_changed_host_key_is_refused_with_both_fingerprints(person: Person, sshd: Sshd) -> None:
    destination = person.is_at_home_on(sshd)
    old = sshd.fingerprint
    sshd.change_host_keys()
    sshd.restart()
    said = refused(person, destination)
    assert old in said
    assert sshd.fingerprint in said
    assert f"ssh-keygen -R '[127.0.0.1]:{sshd.port}'" in said


@pytest.mark.parametrize("known_hosts", ["/dev/null", "none"])
def test_ssh_configuration_cannot_switch_the_host_key_check_off(person: Person, sshd: Sshd, known_hosts: str) -> None:
    person.has_key(sshd.client_key)
    person.configures(f"Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile {known_hosts}\n")
    assert sshd.fingerprint in refused(person, f"deploy@127.0.0.1:{sshd.port}")


# --- what can go wrong ---


def test_refused_key_names_the_ssh_command_to_try(person: Person, sshd: Sshd) -> None:
    person.has_key(asyncssh.generate_private_key("ssh-ed25519"))
    person.knows(sshd)
    said = refused(person, f"deploy@127.0.0.1:{sshd.port}")
    assert "refused the login of user deploy" in said
    assert f"`ssh -p {sshd.port} deploy@127.0.0.1` must log in without a password" in said
    assert "Secret" not in said


def test_closed_port_is_named(person: Person) -> None:
    port = free_port()
    said = refused(person, f"deploy@127.0.0.1:{port}")
    assert f"127.0.0.1:{port} refused the connection" in said
    assert "retried" not in said


def test_a_slow_server_is_waited_for_and_given_up_without_a_promise(person: Person) -> None:
    with silent_server() as port:
        said = refused(person, f"deploy@127.0.0.1:{port}")
    assert "sent no SSH greeting within 10 s" in said
    assert "trying" not in said


def test_unknown_host_name_is_named(person: Person) -> None:
    assert "no-such-host.invalid" in refused(person, "deploy@no-such-host.invalid")


def test_malformed_ssh_configuration_is_named_with_its_line(person: Person) -> None:
    person.configures("Host web\n  Port twenty-two\n")
    said = refused(person, "web")
    assert f"{person.ssh / 'config'}" in said
    assert "line 2" in said


def test_encrypted_key_without_a_terminal_says_to_use_the_agent(person: Person, sshd: Sshd) -> None:
    person.knows(sshd)
    person.has_key(sshd.client_key, passphrase="correct horse")
    assert "ssh-add" in refused(person, f"deploy@127.0.0.1:{sshd.port}")


@pytest.mark.parametrize("answers", [["correct horse"], ["wrong", "correct horse"]])
async def test_passphrase_is_asked_for_at_a_terminal_and_the_key_then_used(
    person: Person, sshd: Sshd, answers: list[str]
) -> None:
    person.knows(sshd)
    file = person.has_key(sshd.client_key, passphrase="correct horse")
    with person.serves_at_a_terminal(f"deploy@127.0.0.1:{sshd.port}") as (served, terminal):
        for number, answer in enumerate(answers, start=1):
            await asyncio.to_thread(terminal.shows, f"Passphrase for {file}:", times=number)
            terminal.types(f"{answer}\n")
        async with served.connected() as client:
            assert not (await client.call_tool("execute_command", {"command": "true"})).is_error
        assert await asyncio.to_thread(served.ends) == 0
    assert "correct horse" not in terminal.text + served.said


@pytest.mark.parametrize("way", ["PasswordAuthentication", "KbdInteractiveAuthentication"])
async def test_password_is_asked_for_at_a_terminal_where_no_key_is_taken(
    person: Person, sshd_factory: SshdFactory, way: str
) -> None:
    options = {"PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no", "UsePAM": "yes", way: "yes"}
    sshd = sshd_factory(username="deploy", password=True, options=options)
    person.knows(sshd)
    with person.serves_at_a_terminal(f"deploy@127.0.0.1:{sshd.port}") as (served, terminal):
        for number, answer in enumerate(["wrong", PASSWORD], start=1):
            await asyncio.to_thread(terminal.shows, "Password for deploy@127.0.0.1", times=number)
            terminal.types(f"{answer}\n")
        assert await output_of(served, "id -un") == "deploy\n"
        assert await asyncio.to_thread(served.ends) == 0
    assert PASSWORD not in terminal.text + served.said


def test_no_password_ends_it_with_what_was_refused(person: Person, sshd: Sshd) -> None:
    person.knows(sshd)
    with person.serves_at_a_terminal(f"deploy@127.0.0.1:{sshd.port}") as (served, terminal):
        terminal.shows("Password for ")
        terminal.types("\n")
        assert served.process.wait(ENDING_SECONDS) == 1
    assert "refused the login of user deploy" in served.said


async def test_password_goes_to_no_jump_host(person: Person, sshd_factory: SshdFactory) -> None:
    bastion, target = (sshd_factory(username="deploy", password=True) for _ in range(2))
    for server in (bastion, target):
        person.knows(server)
    key = person.has_key(bastion.client_key, "bastion_key")
    person.configures(
        f"Host bastion\n  HostName 127.0.0.1\n  Port {bastion.port}\n  User deploy\n  IdentityFile {key}\n"
        f"Host web\n  HostName 127.0.0.1\n  Port {target.port}\n  User deploy\n  ProxyJump bastion\n"
    )
    with person.serves_at_a_terminal("web") as (served, terminal):
        await asyncio.to_thread(terminal.shows, "Password for deploy@web")
        terminal.types(f"{PASSWORD}\n")
        assert await output_of(served, "id -un") == "deploy\n"
    assert "password" not in bastion.log.read_text()
    assert "Accepted password" in target.log.read_text()


def test_no_password_is_asked_for_where_a_jump_host_refuses(person: Person, sshd_factory: SshdFactory) -> None:
    bastion, target = sshd_factory(username="deploy"), sshd_factory(username="deploy")
    for server in (bastion, target):
        person.knows(server)
    person.configures(
        f"Host web\n  HostName 127.0.0.1\n  Port {target.port}\n  ProxyJump deploy@127.0.0.1:{bastion.port}\n"
    )
    with person.serves_at_a_terminal("deploy@web") as (served, _terminal):
        assert served.process.wait(ENDING_SECONDS) == 1
    assert f"jump host 127.0.0.1:{bastion.port} refused the login" in served.said


def test_ctrl_c_instead_of_a_passphrase_ends_it(person: Person, sshd: Sshd) -> None:
    person.knows(sshd)
    person.has_key(sshd.client_key, passphrase="correct horse")
    with person.serves_at_a_terminal(f"deploy@127.0.0.1:{sshd.port}") as (served, terminal):
        terminal.shows("Passphrase for ")
        terminal.types("\x03")
        assert served.process.wait(ENDING_SECONDS) == 130
    assert "Traceback" not in served.said + terminal.text
