import asyncio
import shlex
import sys
from pathlib import Path

from tests.integration.sshd import SshdFactory


async def test_a_user_without_name_and_home_can_log_in_to_the_host(sshd_factory: SshdFactory, tmp_path: Path) -> None:
    """In a pod the process has a number only: no passwd entry, no HOME, no USER."""
    server = sshd_factory(username="deploy")
    nobody = tmp_path / "passwd"
    nobody.touch()
    probe = [
        sys.executable,
        "-m",
        "tests.integration.ssh.memory_probe",
        server.sidecar_config().render(),
        "echo ok",
    ]
    script = f"mount --bind {shlex.quote(str(nobody))} /etc/passwd && exec env -i {shlex.join(probe)}"
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "--propagation", "private", "sh", "-c", script, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert output.split()[1] == b"3"
