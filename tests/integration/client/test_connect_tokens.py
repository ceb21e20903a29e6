"""Where the token comes from, and what is said when the endpoint does not like it."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from fairlead_sidecar import tokens
from fairlead_sidecar.config import SidecarConfig
from tests.integration.app.endpoint import INITIALIZE, RunningEndpoint, until
from tests.integration.client.connecting import Lines, by_hand, environment, serving
from tests.integration.client.person import ENDING_SECONDS, FAIRLEAD
from tests.integration.client.raw_endpoint import events, raw_endpoint

KEYRING_IN_A_FILE = """
from pathlib import Path
from keyring.backend import KeyringBackend

class Keyring(KeyringBackend):
    priority = 1
    place = Path(__file__).with_name("keyring.txt")

    def get_password(self, service, username):
        for line in self.place.read_text().splitlines() if self.place.exists() else ():
            if line.split(" ")[:2] == [service, username]:
                return line.split(" ")[2]
        return None

    def set_password(self, service, username, password):
        self.place.write_text(f"{service} {username} {password}\\n")

    def delete_password(self, service, username):
        self.place.unlink()
"""


async def greeted(client: Lines) -> bool:
    """Whether the endpoint takes the token."""
    return "result" in await client.answer(INITIALIZE)


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FAIRLEAD, "connect", *arguments],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=ENDING_SECONDS,
        check=False,
    )


async def test_the_token_comes_from_a_file_a_variable_or_another_variable(
    unreachable: SidecarConfig, tmp_path: Path
) -> None:
    async with serving(unreachable) as endpoint:
        file = tmp_path / "token"
        file.write_text(f"{endpoint.token}\n")
        file.chmod(0o600)
        plain = environment(tmp_path)
        for arguments, env in (
            (("--token-file", str(file)), plain),
            ((), plain | {"FAIRLEAD_TOKEN": endpoint.token}),
            (("--token-env", "OTHER"), plain | {"OTHER": endpoint.token, "FAIRLEAD_TOKEN": "wrong"}),
        ):
            async with by_hand(*arguments, endpoint.url, env=env, log=tmp_path / "log") as client:
                assert await greeted(client)
                assert endpoint.token not in client.said


async def test_the_token_comes_from_the_keyring(unreachable: SidecarConfig, tmp_path: Path) -> None:
    (tmp_path / "file_keyring.py").write_text(KEYRING_IN_A_FILE)
    env = environment(tmp_path, PYTHON_KEYRING_BACKEND="file_keyring.Keyring")
    env["PYTHONPATH"] = f"{tmp_path}:{env.get('PYTHONPATH', '')}"
    async with serving(unreachable) as endpoint:
        async with by_hand(endpoint.url, env=env, log=tmp_path / "log") as client:
            message = (await client.answer(INITIALIZE))["error"]["message"]
            assert f"`keyring set fairlead {endpoint.url}`" in message
        # The command that the message and the documentation name.
        command = [sys.executable, "-m", "keyring", "set", "fairlead", endpoint.url]
        await asyncio.to_thread(
            subprocess.run, command, env=env, input=endpoint.token, text=True, check=True, timeout=ENDING_SECONDS
        )
        async with by_hand(f"{endpoint.url}?x=1", env=env, log=tmp_path / "log") as client:
            assert await greeted(client)


async def test_a_refused_token_is_named_by_where_it_came_from(unreachable: SidecarConfig, tmp_path: Path) -> None:
    wrong = tokens.mint()
    async with serving(unreachable) as endpoint:
        env = environment(tmp_path, FAIRLEAD_TOKEN=wrong)
        async with by_hand(endpoint.url, env=env, log=tmp_path / "log") as client:
            message = (await client.answer(INITIALIZE))["error"]["message"]
            assert "refused the token from the variable FAIRLEAD_TOKEN (HTTP 401" in message
            assert wrong not in message + client.said


@pytest.mark.parametrize("status", [401, 403])
async def test_neither_a_token_that_the_endpoint_repeats_nor_the_urls_query_is_shown(
    status: int, tmp_path: Path
) -> None:
    # Longer than what is shown of an endpoint's words.
    token = "s3cr3t" + "0123456789" * 40

    async def answer(request: Request, _body: str) -> Response:
        said = f"bad {request.headers['authorization']}"
        return JSONResponse(
            {"message": said}, status, headers={"www-authenticate": f'Bearer error_description="{said}"'}
        )

    env = environment(tmp_path, FAIRLEAD_TOKEN=token)
    async with (
        raw_endpoint(answer) as endpoint,
        by_hand(f"{endpoint.url}?key=in-the-query", env=env, log=tmp_path / "log") as client,
    ):
        message = (await client.answer(INITIALIZE))["error"]["message"]
        assert "bad Bearer [redacted]" in message
        for secret in ("s3cr3t", "in-the-query"):
            assert secret not in message + client.said


async def test_a_token_that_was_replaced_in_its_file_is_used_at_once(
    unreachable: SidecarConfig, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(tokens.mint())
    file.chmod(0o600)
    async with (
        serving(unreachable) as endpoint,
        by_hand("--token-file", str(file), endpoint.url, env=environment(tmp_path), log=tmp_path / "log") as client,
    ):
        assert not await greeted(client)
        file.write_text(endpoint.token)
        assert await greeted(client)


def test_a_token_that_is_not_there_ends_it_before_it_begins(tmp_path: Path) -> None:
    file = tmp_path / "token"
    url, env = "http://127.0.0.1:1/mcp", environment(tmp_path)
    missing = run("--token-file", str(file), url, env=env)
    assert (missing.returncode, missing.stdout) == (1, "")
    assert f"the token file {file} can't be read: No such file" in missing.stderr
    file.write_text("secret")
    file.chmod(0o644)
    assert "chmod 600" in run("--token-file", str(file), url, env=env).stderr
    file.chmod(0o600)
    file.write_text("two words")
    assert "holds no token" in run("--token-file", str(file), url, env=env).stderr
    assert "NOWHERE, which --token-env names, is not set" in run("--token-env", "NOWHERE", url, env=env).stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--header", "Authorization=Bearer x", "http://localhost/mcp"), "holds a secret"),
        (("--header", "nonsense", "http://localhost/mcp"), "no NAME=VALUE"),
        (("--client-key", "x", "http://localhost/mcp"), "--client-key means nothing for a URL of HTTP"),
        (("http://localhost/mcp", "uvx"), "a COMMAND means nothing for a URL of HTTP"),
        (("--token-env", "X", "ssh://ada@web-01"), "--token-env means nothing for ssh://"),
        (("--insecure", "ssh://ada@web-01"), "No such option"),
        (("ssh://ada:hunter2@web-01",), "a password does not belong"),
    ],
)
def test_wrong_usage_is_named(tmp_path: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = run(*arguments, env=environment(tmp_path))
    assert (result.returncode, result.stdout) == (2, "")
    assert complaint in " ".join(result.stderr.split())
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("url", ["ftp://host/mcp", "host/mcp", "http://:80/mcp", "https://ada:hunter2@host/mcp"])
def test_what_is_no_url_of_an_endpoint_is_refused(tmp_path: Path, url: str) -> None:
    result = run(url, env=environment(tmp_path))
    assert (result.returncode, result.stdout) == (1, "")
    assert "fairlead: " in result.stderr
    assert "hunter2" not in result.stderr


@pytest.mark.parametrize("number", [None, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_the_end_of_stdin_or_a_signal_ends_it_and_the_session(
    unreachable: SidecarConfig, tmp_path: Path, number: signal.Signals | None
) -> None:
    def sessions(endpoint: RunningEndpoint) -> float | None:
        return endpoint.sidecar.metrics.registry.get_sample_value("fairlead_sessions")

    async with serving(unreachable) as endpoint:
        env = environment(tmp_path, FAIRLEAD_TOKEN=endpoint.token)
        async with by_hand(endpoint.url, env=env, log=tmp_path / "log") as client:
            assert await greeted(client)
            assert sessions(endpoint) == 1
            if number is None:
                assert await client.ends() == 0
            else:
                client.process.send_signal(number)
                assert await client.exits() == 0
        await until(lambda: sessions(endpoint) == 0, "the session to be over")


async def test_it_ends_at_once_while_the_endpoint_is_away(tmp_path: Path) -> None:
    url = "http://127.0.0.1:1/mcp"
    async with by_hand("--connect-timeout=300", url, env=environment(tmp_path), log=tmp_path / "log") as client:
        await client.send(INITIALIZE)
        await until(lambda: "is away" in client.said, "it to miss the endpoint")
        assert await client.ends() == 0


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """For 127.0.0.1, signed by nobody else; with its key."""
    pem, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    name = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *name, "-keyout", str(key), "-out", str(pem)]
    subprocess.run(command, check=True, capture_output=True, timeout=ENDING_SECONDS)
    pem.write_text(key.read_text() + pem.read_text())
    return pem


async def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(tmp_path: Path, certificate: Path) -> None:
    async def answer(request: Request, body: str) -> Response:
        return events('{"jsonrpc": "2.0", "id": 0, "result": {}}')

    env = environment(tmp_path)
    async with raw_endpoint(answer, certificate) as endpoint:
        async with by_hand("--connect-timeout=300", endpoint.url, env=env, log=tmp_path / "log") as client:
            message = (await client.answer(INITIALIZE))["error"]["message"]
            assert "the certificate of https://127.0.0.1" in message
            assert not endpoint.requests
        # A person's own authority is trusted as everywhere else.
        trusting = env | {"SSL_CERT_FILE": str(certificate)}
        async with by_hand(endpoint.url, env=trusting, log=tmp_path / "log") as client:
            assert await greeted(client)
