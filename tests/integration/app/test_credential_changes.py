"""Credentials change while an agent calls at a steady pace: no call fails, whatever is exchanged."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import asyncssh
from mcp import Client

from fairlead_sidecar.config import SecretFiles
from tests.integration.app.endpoint import RunningEndpoint, running, until
from tests.integration.sshd import Sshd, SshdFactory

PACE = 0.05
MOST = 20
"""Calls that may be under way: a slow machine answers fewer in that time, and is not to be asked for ever more."""


class MountedSecret:
    """A Secret as the kubelet mounts it: a change replaces all keys at once, by a symbolic link."""

    def __init__(self, directory: Path, **content: bytes) -> None:
        self.directory = directory
        self._changes = 0
        directory.mkdir()
        self.replace(**content)

    def replace(self, **content: bytes) -> None:
        """Let it hold this; underscores in the keys' names stand for dashes."""
        self._changes += 1
        fresh = self.directory / f"..{self._changes}"
        fresh.mkdir()
        for name, value in content.items():
            (fresh / name.replace("_", "-")).write_bytes(value)
            link = self.directory / name.replace("_", "-")
            if not link.is_symlink():
                link.symlink_to(Path("..data") / name.replace("_", "-"))
        new = self.directory / "..new"
        new.symlink_to(fresh.name)
        new.rename(self.directory / "..data")
        for link in self.directory.iterdir():
            if not link.name.startswith("..") and link.name.replace("-", "_") not in content:
                link.unlink()

    def config(self) -> SecretFiles:
        return SecretFiles(directory=self.directory, secret_name="web-01")


@asynccontextmanager
async def steady_calls(endpoint: RunningEndpoint) -> AsyncIterator[list[str]]:
    """A command every 50 ms, though those before may not be answered yet; afterwards none has failed."""
    failures: list[str] = []
    stop = asyncio.Event()
    places = asyncio.Semaphore(MOST)
    answered = 0

    async def one(client: Client, number: int) -> None:
        nonlocal answered
        async with places:
            result = await client.call_tool("execute_command", {"command": f"echo {number}"})
        if result.is_error or (result.structured_content or {}).get("stdout") != f"{number}\n":
            failures.append(str(result.content))
        answered += 1

    async def keep_calling() -> None:
        number = 0
        async with endpoint.client() as client, asyncio.TaskGroup() as calls:
            while not stop.is_set():
                if places.locked():
                    await asyncio.sleep(PACE)
                    continue
                number += 1
                calls.create_task(one(client, number))
                await asyncio.sleep(PACE)

    calling = asyncio.create_task(keep_calling())
    await until(lambda: answered > 10, "calls are answered")
    yield failures
    before = answered
    await until(lambda: answered > before + 10, "further calls are answered")
    stop.set()
    await calling
    assert not failures, f"{len(failures)} of {answered}: {failures[:3]}"


def logins(server: Sshd) -> int:
    return server.log.read_text().count("Accepted ")


def reports(endpoint: RunningEndpoint, serial: int) -> bool:
    link = endpoint.sidecar.link
    return link is not None and link.status().certificate_serial == serial


async def until_another_login(server: Sshd, before: int) -> None:
    await until(lambda: logins(server) > before, "a login with the new credentials")


async def test_certificates_with_keys_of_their_own_follow_one_another(
    sshd_factory: SshdFactory, tmp_path: Path
) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "ca.pub").write_bytes(authority.export_public_key())
    options = {"AuthorizedKeysFile": "none", "TrustedUserCAKeys": str(tmp_path / "ca.pub")}
    server = sshd_factory(options=options)

    def certified(serial: int) -> dict[str, bytes]:
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_user_certificate(
            key, "test", serial=serial, principals=["root"], valid_before="+1h"
        )
        return {"ssh_privatekey": key.export_private_key(), "ssh_certificate": certificate.export_certificate()}

    secret = MountedSecret(tmp_path / "mounted", **certified(1))
    async with running(server.sidecar_config(auth=secret.config())) as endpoint:
        async with steady_calls(endpoint):
            for serial in range(2, 7):
                before = logins(server)
                secret.replace(**certified(serial))
                endpoint.reconfigure(credentials_version=str(serial))
                await until_another_login(server, before)
                await until(partial(reports, endpoint, serial), "its serial is reported")
        records = [record for record in endpoint.audit() if "certificate_serial" in record]
        assert {record["certificate_serial"] for record in records} >= {1, 6}


async def test_a_password_follows_another(sshd_factory: SshdFactory, tmp_path: Path) -> None:
    server = sshd_factory(username="deploy", password=True)
    server.authorize()
    secret = MountedSecret(tmp_path / "mounted", password=b"open sesame 42")
    async with running(server.sidecar_config(auth=secret.config())) as endpoint, steady_calls(endpoint):
        before = logins(server)
        change_password(server, "another one")
        await asyncio.sleep(0.5)
        secret.replace(password=b"another one")
        endpoint.reconfigure(credentials_version="2")
        await until_another_login(server, before)


def change_password(server: Sshd, password: str) -> None:
    """As `passwd` on the host."""
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", password], capture_output=True, text=True, check=True
    ).stdout.strip()
    path = server.directory / "etc-shadow"
    lines = path.read_text().splitlines()
    with path.open("r+") as file:
        # In place: it is bind-mounted.
        file.write("\n".join(f"deploy:{hashed}:20000:0:99999:7:::" if x.startswith("deploy:") else x for x in lines))
        file.write("\n")
        file.truncate()
        os.fsync(file.fileno())
