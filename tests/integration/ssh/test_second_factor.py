"""Logins that ask questions: passwords and one-time codes through PAM, each code used once, no account burnt."""

import asyncio
import time
from collections.abc import Sequence

import asyncssh
import pytest

from fairlead_sidecar.statusz import LinkState
from tests.integration.ssh.running import RunningLink, StartLink
from tests.integration.sshd import PASSWORD, PATIENCE_SECONDS, SecondFactor, Sshd, SshdFactory, eventually

QUICK = SecondFactor(period=3)


def store(server: Sshd, **keys: str | None) -> None:
    """Write or remove keys of the Secret, `_` for `-`."""
    for name, value in keys.items():
        file = server.secret / name.replace("_", "-")
        if value is None:
            file.unlink(missing_ok=True)
        else:
            file.write_text(value)


def accepted(server: Sshd) -> int:
    return server.log.read_text().count("Accepted keyboard-interactive")


async def until_logins(server: Sshd, count: int, seconds: float = PATIENCE_SECONDS) -> None:
    await eventually(lambda: accepted(server) >= count, f"{count} logins", seconds=seconds)


@pytest.mark.parametrize("forward_pass", [False, True])
async def test_password_and_code_log_in_however_they_are_asked_for(
    sshd_factory: SshdFactory, start_link: StartLink, forward_pass: bool
) -> None:
    factor = SecondFactor(forward_pass=forward_pass)
    server = sshd_factory(username="deploy", password=True, second_factor=factor)
    store(server, ssh_privatekey=None, password=PASSWORD + "\n", totp_secret=factor.secret + "\n")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    await eventually(lambda: accepted(server) == 1, "the line of the login")
    assert "one-time codes (Secret web-01-ssh, key `totp-secret`)" in link.status.message
    for secret in (PASSWORD, factor.secret):
        assert secret not in link.status.message


async def test_a_code_follows_a_key_where_the_server_wants_both(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(
        username="deploy",
        second_factor=QUICK,
        options={"AuthenticationMethods": "publickey,keyboard-interactive"},
    )
    store(server, totp_secret=QUICK.uri)
    link = start_link(server.sidecar_config())
    assert (await link.run("id -un")).stdout == b"deploy\n"


async def test_a_password_follows_a_key_where_the_server_wants_both(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", password=True, options={"AuthenticationMethods": "publickey,password"})
    store(server, password=PASSWORD)
    await start_link(server.sidecar_config()).until_connected()


async def test_a_password_is_given_again_where_a_second_method_asks_for_it(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    options = {
        "AuthenticationMethods": "password,keyboard-interactive",
        "UsePAM": "yes",
        "KbdInteractiveAuthentication": "yes",
    }
    server = sshd_factory(username="deploy", password=True, options=options)
    store(server, ssh_privatekey=None, password=PASSWORD)
    await start_link(server.sidecar_config()).until_connected()


async def test_a_new_login_waits_for_an_unused_code(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    factor = SecondFactor(period=15)
    server = sshd_factory(username="deploy", password=True, second_factor=factor)
    store(server, ssh_privatekey=None, password=PASSWORD, totp_secret=factor.uri)
    # Early in a period, so that the next login must wait long enough to be reported.
    await eventually(lambda: time.time() % 15 < 1, "the beginning of a period")
    link = start_link(server.sidecar_config())
    await link.until_connected()
    server.drop_connections()
    status = await link.until_reason("Connecting")
    assert "waits for the next one-time code" in status.message
    assert f"127.0.0.1:{server.port}" in status.message
    await link.until_connected()
    assert "Failed" not in server.log.read_text()


async def test_logins_at_the_same_time_each_get_a_code_of_their_own(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", second_factor=QUICK)
    store(server, totp_secret=QUICK.uri, password="unused", ssh_privatekey=None)
    link = start_link(server.sidecar_config())
    await link.until_connected()
    # More than one connection carries.
    results = await asyncio.gather(*(link.run("sleep 5", timeout=100) for _ in range(24)))
    assert all(result.exit_code == 0 for result in results)
    assert accepted(server) >= 2
    assert "Failed" not in server.log.read_text()
    assert "PAM: Authentication failure" not in server.log.read_text()


async def test_a_jump_host_with_the_same_secret_gets_another_code(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    bastion, target = (sshd_factory(username="deploy", second_factor=QUICK) for _ in range(2))
    for server in (bastion, target):
        store(server, totp_secret=QUICK.uri, password="unused", ssh_privatekey=None)
    start = time.monotonic()
    link = start_link(target.sidecar_config(jump_hosts=(bastion.jump_host("bastion"),)))
    await link.until_connected()
    await eventually(lambda: (accepted(bastion), accepted(target)) == (1, 1), "the lines of both logins")
    assert time.monotonic() - start < 20


async def test_a_wrong_code_is_said_with_what_to_check(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", password=True, second_factor=QUICK)
    wrong = SecondFactor(secret="A" * 32, period=3)
    store(server, ssh_privatekey=None, password=PASSWORD, totp_secret=wrong.uri)
    link = start_link(server.sidecar_config())
    status = await link.until_reason("AuthenticationFailed")
    assert "the one-time code was sent" in status.message
    assert "clock" in status.message
    await eventually(lambda: attempts(server) > 0, "the line of the attempt")
    assert attempts(server) == 1
    store(server, totp_secret=QUICK.uri)
    await link.until_connected()


async def test_a_wrong_password_is_tried_once_a_login(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    options = {"UsePAM": "yes", "KbdInteractiveAuthentication": "yes"}
    server = sshd_factory(username="deploy", password=True, options=options)
    store(server, ssh_privatekey=None, password="swordfish")
    link = start_link(server.sidecar_config())
    await link.until_reason("AuthenticationFailed")
    await eventually(lambda: attempts(server) > 0, "the line of the attempt")
    assert attempts(server) == 1


async def test_a_code_that_is_asked_for_without_a_secret_is_said(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(username="deploy", password=True, second_factor=QUICK)
    store(server, ssh_privatekey=None, password=PASSWORD)
    status = await start_link(server.sidecar_config()).until_reason("AuthenticationFailed")
    assert "it asks for a one-time code («Verification code: »), and there is no `totp-secret`" in status.message


async def test_a_secret_of_the_wrong_form_is_named(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(username="deploy", password=True, second_factor=QUICK)
    store(server, password=PASSWORD, totp_secret="not base32!")
    link = start_link(server.sidecar_config())
    status = await link.until_reason("CredentialsInvalid")
    assert "Key `totp-secret` of Secret web-01-ssh can't be used" in status.message
    assert "not base32!" not in status.message
    store(server, ssh_privatekey=None, totp_secret=QUICK.uri)
    await link.until_connected()


Challenge = tuple[str, str, str, list[tuple[str, bool]]]


class Curious(asyncssh.SSHServer):
    """Asks what it likes, which no real PAM stack can be made to."""

    def __init__(self, prompts: list[str], heard: list[list[str]], *, endless: bool = False) -> None:
        self.prompts = prompts
        self.endless = endless
        self.heard = heard

    def begin_auth(self, username: str) -> bool:
        return True

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, username: str, lang: str, submethods: str) -> Challenge:
        return "", "", "", [(prompt, True) for prompt in self.prompts]

    def validate_kbdint_response(self, username: str, responses: Sequence[str]) -> bool | Challenge:
        self.heard.append([*responses])
        return self.endless and self.get_kbdint_challenge(username, "", "")


async def ask(
    server: Sshd, start_link: StartLink, *prompts: str, endless: bool = False
) -> tuple[RunningLink, list[list[str]]]:
    """Log in to a server that asks these, as if it were `server`; the link, and what it was told."""
    heard: list[list[str]] = []
    listener = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[server.host_keys["ssh-ed25519"]],
        server_factory=lambda: Curious([*prompts], heard, endless=endless),
    )
    async with listener:
        config = server.sidecar_config()
        target = config.target.model_copy(update={"port": listener.get_port()})
        link = start_link(config.model_copy(update={"target": target}))
        await link.until_reason("AuthenticationFailed")
        await link.stop()
    return link, heard


async def test_a_question_that_is_not_understood_is_quoted_and_not_answered(
    sshd_factory: SshdFactory, start_link: StartLink
) -> None:
    server = sshd_factory(started=False)
    store(server, password="hunter2", totp_secret=QUICK.uri)
    link, heard = await ask(server, start_link, "Password: ", "\x1b[2JReady. Your mother's maiden name?" + "A" * 30_000)
    assert heard == []
    assert link.status.state is LinkState.FAILED
    assert "it asks «\\x1b[2JReady. Your mother" in link.status.message
    assert "\x1b" not in link.status.message
    assert len(link.status.message) < 1000


@pytest.mark.parametrize(("prompts", "given"), [([], [[]] * 16), (["Password: "], [["hunter2"]])])
async def test_a_server_that_never_ends_asking_is_left(
    sshd_factory: SshdFactory, start_link: StartLink, prompts: list[str], given: list[list[str]]
) -> None:
    server = sshd_factory(started=False)
    store(server, password="hunter2")
    link, heard = await ask(server, start_link, *prompts, endless=True)
    assert heard == given
    assert link.status.reason == "AuthenticationFailed"


async def test_a_password_is_never_given_as_a_new_one(sshd_factory: SshdFactory, start_link: StartLink) -> None:
    server = sshd_factory(started=False)
    store(server, password="hunter2")
    link, heard = await ask(server, start_link, "New password: ")
    assert heard == []
    assert "wants the password changed" in link.status.message


def attempts(server: Sshd) -> int:
    """Refused answers to questions and refused passwords."""
    log = server.log.read_text()
    return log.count("PAM: Authentication failure") + log.count("Failed password")
