"""All peers, with the versions that the locks hold."""

import json
import re
from pathlib import Path

from benchmarks.contestants import Contestant
from benchmarks.peers import m2m, mcp_remote_ssh, mcp_ssh_manager, ssh_mcp
from benchmarks.peers.install import LOCKS


def peers(directory: Path) -> tuple[Contestant, ...]:
    """The peers as they are installed in `directory`."""
    remote = f"mcp-remote-ssh {_pypi('mcp-remote-ssh')}"
    return (
        Contestant(f"{remote}, stdio", mcp_remote_ssh.stdio(directory / "mcp-remote-ssh"), peer=True),
        Contestant(f"{remote}, HTTP", mcp_remote_ssh.http(directory / "mcp-remote-ssh"), peer=True),
        Contestant(f"ssh-mcp {_npm('ssh-mcp')}", ssh_mcp.stdio(directory / "ssh-mcp"), peer=True),
        Contestant(
            f"mcp-ssh-manager {_npm('mcp-ssh-manager')}",
            mcp_ssh_manager.stdio(directory / "mcp-ssh-manager"),
            peer=True,
        ),
        Contestant(
            f"m2m {_pypi('m2m', 'm2m-mcp-server-ssh-client')}, client and server",
            m2m.stdio(directory / "m2m", directory / "m2m-server"),
            peer=True,
            early_login=True,
            own_server=True,
        ),
    )


def _pypi(lock: str, package: str | None = None) -> str:
    found = re.search(rf"^{package or lock}==(\S+)", (LOCKS / f"{lock}.in").read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def _npm(package: str) -> str:
    return str(json.loads((LOCKS / package / "package.json").read_text())["dependencies"][package])
