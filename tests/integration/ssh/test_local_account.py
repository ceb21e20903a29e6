"""`fairlead serve` finds hosts, keys and trust as `ssh` does: agent, ~/.ssh keys, ~/.ssh/config, known_hosts."""

import base64
import hashlib
import hmac
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from fairlead_sidecar.config import Connection, KnownHosts, LocalAccount, SidecarConfig, Target
from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.running import StartLink
from tests.integration.sshd import Sshd, SshdFactory, until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory of the person's own, without an agent."""
    home = tmp_path / "person"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A running ssh-agent."""
    path = tmp_path / "agent"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", str(path)], stdout=subprocess.DEVNULL)
    until(lambda: _answers(path), "the agent")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield str(path)
    process.terminate()
    process.wait()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def config(
    address: str, server: Sshd, *, port: int | None = None, auth: LocalAccount | None = None, known: Path | None = None
) -> SidecarConfig:
    return server.sidecar_config(
        target=Target(address=address, port=port or server.port, username=server.username),
        auth=auth or LocalAccount(),
        host_key=KnownHosts(file=known),
        connection=Connection(connect_timeout=20),
    )


def trust(home: Path, *servers: Sshd) -> None:
    lines = [f"[{server.address}]:{server.port} {server.host_key}\n" for server in servers]
    (home / ".ssh" / "known_hosts").write_text("".join(lines))


def store_key(home: Path, key: asyncssh.SSHKey, name: str = "id_ed25519", passphrase: str | None = None) -> Path:
    path = home / ".ssh" / name
    path.write_bytes(key.export_private_key(passphrase=passphrase))
    path.chmod(0o600)
    return path


async def test_a_key_of_the_home_directory_logs_in(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    store_key(home, sshd.client_key)
    link = start_link(config(sshd.address, sshd))
    assert (await link.run("echo ok")).stdout == b"ok\n"


async def test_the_agents_key_logs_in(sshd: Sshd, home: Path, agent: str, start_link: StartLink) -> None:
    trust(home, sshd)
    async with asyncssh.connect_agent(agent) as client:
        await client.add_keys([sshd.client_key])
    link = start_link(config(sshd.address, sshd))
    await link.until_connected()
    assert "SSH agent" in link.status.message


async def test_an_identity_of_the_command_line_logs_in(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    store_key(home, asyncssh.generate_private_key("ssh-ed25519"))
    identity = store_key(home, sshd.client_key, "other")
    await start_link(config(sshd.address, sshd, auth=LocalAccount(identity_files=(identity,)))).until_connected()


async def test_an_alias_brings_address_port_and_identity(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    store_key(home, sshd.client_key, "web")
    (home / ".ssh" / "config").write_text(
        f"Host web\n  HostName {sshd.address}\n  Port {sshd.port}\n  IdentityFile ~/.ssh/web\n  IdentitiesOnly yes\n"
    )
    await start_link(config("web", sshd)).until_connected()


async def test_another_configuration_file_is_used_when_asked_for(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    store_key(home, sshd.client_key)
    other = home / "other-config"
    other.write_text(f"Host web\n  HostName {sshd.address}\n")
    await start_link(config("web", sshd, auth=LocalAccount(ssh_config=other))).until_connected()


async def test_a_hashed_known_hosts_entry_is_found(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    store_key(home, sshd.client_key)
    salt, name = b"0123456789abcdefghij", f"[{sshd.address}]:{sshd.port}"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    hashed = f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"
    (home / ".ssh" / "known_hosts").write_text(f"{hashed} {sshd.host_key}\n")
    await start_link(config(sshd.address, sshd)).until_connected()


async def test_a_host_key_alias_is_looked_up(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    store_key(home, sshd.client_key)
    (home / ".ssh" / "config").write_text(f"Host web\n  HostName {sshd.address}\n  HostKeyAlias web.internal\n")
    (home / ".ssh" / "known_hosts").write_text(f"web.internal {sshd.host_key}\n")
    await start_link(config("web", sshd)).until_connected()


async def test_a_host_certificate_of_a_known_authority_is_trusted(
    sshd_factory: SshdFactory, home: Path, tmp_path: Path, start_link: StartLink
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    server = sshd_factory(options={"HostCertificate": str(tmp_path / "host-cert.pub")}, started=False)
    certificate = authority.generate_host_certificate(server.host_keys["ssh-ed25519"], "web", principals=["127.0.0.1"])
    (tmp_path / "host-cert.pub").write_bytes(certificate.export_certificate())
    server.start()
    store_key(home, server.client_key)
    line = f"@cert-authority [127.0.0.1]:{server.port} {authority.export_public_key().decode()}"
    (home / ".ssh" / "known_hosts").write_text(line)
    await start_link(config(server.address, server)).until_connected()


async def test_a_revoked_key_is_refused(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    store_key(home, sshd.client_key)
    name = f"[{sshd.address}]:{sshd.port}"
    (home / ".ssh" / "known_hosts").write_text(f"{name} {sshd.host_key}\n@revoked {name} {sshd.host_key}\n")
    assert "revoked" in (await start_link(config(sshd.address, sshd)).until_reason("HostKeyMismatch")).message


@pytest.mark.parametrize(
    "setting", ["StrictHostKeyChecking no", "UserKnownHostsFile none", "UserKnownHostsFile /dev/null"]
)
async def test_no_setting_turns_the_host_key_check_off(
    sshd: Sshd, home: Path, start_link: StartLink, setting: str
) -> None:
    store_key(home, sshd.client_key)
    (home / ".ssh" / "config").write_text(f"Host *\n  {setting}\n")
    await start_link(config(sshd.address, sshd)).until_reason("HostKeyMismatch")


async def test_a_jump_host_is_passed(sshd_factory: SshdFactory, home: Path, start_link: StartLink) -> None:
    bastion, target = sshd_factory(), sshd_factory(username="deploy")
    trust(home, bastion, target)
    store_key(home, target.client_key)
    store_key(home, bastion.client_key, "bastion")
    (home / ".ssh" / "config").write_text(
        f"Host bastion\n  HostName {bastion.address}\n  Port {bastion.port}\n  User root\n"
        "  IdentityFile ~/.ssh/bastion\n"
        f"Host web\n  HostName {target.address}\n  ProxyJump bastion\n"
    )
    link = start_link(config("web", target))
    assert (await link.run("id -un")).stdout == b"deploy\n"
    assert bastion.log.read_text().count("Accepted publickey") == 1
    bastion.stop()
    await link.until_reason("Unreachable")
    assert str(bastion.port) in link.status.message
    bastion.start()
    await link.until_connected()


async def test_a_jump_host_with_an_unknown_key_is_refused(
    sshd_factory: SshdFactory, home: Path, start_link: StartLink
) -> None:
    bastion, target = sshd_factory(), sshd_factory(username="deploy")
    trust(home, target)
    store_key(home, bastion.client_key)
    target.authorize(bastion.client_key)
    (home / ".ssh" / "config").write_text(
        f"Host web\n  HostName {target.address}\n  ProxyJump root@{bastion.address}:{bastion.port}\n"
    )
    status = await start_link(config("web", target)).until_reason("HostKeyMismatch")
    assert str(bastion.port) in status.message
    assert bastion.fingerprint in status.message


async def test_a_target_that_the_jump_host_can_not_reach_is_said(
    sshd_factory: SshdFactory, home: Path, start_link: StartLink
) -> None:
    bastion, target = sshd_factory(), sshd_factory(username="deploy")
    trust(home, bastion, target)
    store_key(home, bastion.client_key)
    target.stop()
    (home / ".ssh" / "config").write_text(
        f"Host web\n  HostName {target.address}\n  ProxyJump root@{bastion.address}:{bastion.port}\n"
    )
    status = await start_link(config("web", target)).until_reason("Unreachable")
    assert "can't be reached from the jump host" in status.message


async def test_a_loop_of_jump_hosts_is_refused(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    (home / ".ssh" / "config").write_text("Host a\n  ProxyJump b\nHost b\n  ProxyJump a\n")
    status = await start_link(config("a", sshd)).until_reason("CredentialsInvalid")
    assert "more than 8 hosts" in status.message


async def test_an_encrypted_key_without_agent_is_passed_over(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    store_key(home, sshd.client_key, passphrase="secret")
    status = await start_link(config(sshd.address, sshd)).until_reason("AuthenticationFailed")
    assert "no key at all" in status.message


async def test_an_identity_that_is_not_there_is_named(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    trust(home, sshd)
    auth = LocalAccount(identity_files=(home / "no-such-key",))
    status = await start_link(config(sshd.address, sshd, auth=auth)).until_reason("CredentialsInvalid")
    assert "no-such-key" in status.message


async def test_a_broken_configuration_names_the_line(sshd: Sshd, home: Path, start_link: StartLink) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port many\n")
    link = start_link(config(sshd.address, sshd))
    status = await link.until_reason("CredentialsInvalid")
    assert "line 2" in status.message
    assert status.state is LinkState.FAILED


async def test_the_persons_files_have_no_say_in_a_pod(
    sshd: Sshd, home: Path, agent: str, start_link: StartLink
) -> None:
    (home / ".ssh" / "config").write_text("Host *\n  Port 1\n  HostName 192.0.2.1\n  ProxyJump nowhere.invalid\n")
    (home / ".ssh" / "known_hosts").write_text("")
    wrong = asyncssh.generate_private_key("ssh-ed25519")
    store_key(home, sshd.client_key)
    async with asyncssh.connect_agent(agent) as client:
        await client.add_keys([sshd.client_key])
    (sshd.secret / "ssh-privatekey").write_bytes(wrong.export_private_key())
    link = start_link(sshd.sidecar_config())
    await link.until_reason("AuthenticationFailed")
    (sshd.secret / "ssh-privatekey").write_bytes(sshd.client_key.export_private_key())
    await link.until_connected()


async def test_an_agent_gets_neither_the_persons_keys_nor_environment_nor_a_terminal(
    sshd_factory: SshdFactory, home: Path, agent: str, start_link: StartLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    sshd = sshd_factory(options={"AcceptEnv": "*"})
    trust(home, sshd)
    monkeypatch.setenv("DEPLOY_PASSWORD", "hunter2")
    async with asyncssh.connect_agent(agent) as client:
        await client.add_keys([sshd.client_key])
    (home / ".ssh" / "config").write_text(
        "Host *\n  ForwardAgent yes\n  SendEnv DEPLOY_*\n  SetEnv EXTRA=1\n  RequestTTY force\n  RemoteCommand false\n"
    )
    link = start_link(config(sshd.address, sshd))
    seen = (await link.run("ssh-add -l 2>&1; env; tty")).stdout.decode()
    assert sshd.client_key.get_fingerprint() not in seen
    assert "SSH_AUTH_SOCK" not in seen
    assert "hunter2" not in seen
    assert "EXTRA" not in seen
    assert seen.endswith("not a tty\n")
