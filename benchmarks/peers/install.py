"""Install the peers from the committed locks, outside the checkout; once for each state of the locks.

`python -m benchmarks.peers.install` does it and prints where they are.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path

LOCKS = Path(__file__).parent / "locks"
BUILD_LOCK = Path(__file__).parents[2] / "requirements" / "build.txt"
"""hatchling, which pip needs to look into an sdist."""
PYTHON_PEERS = ("mcp-remote-ssh", "m2m")
NPM_PEERS = ("ssh-mcp", "mcp-ssh-manager")
NODE_MAJOR = 20
INSTALL_SECONDS = 900


def installed() -> Path:
    """The directory with all peers, each in a directory of its own; installs what is not there yet.

    Raises:
        RuntimeError: One cannot be installed; the message holds what the installer wrote.
    """
    directory = cache() / f"bench-peers-{_digest()}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits for the first one's installation
        for name in PYTHON_PEERS:
            _once(directory / name, _install_python)
        _once(directory / "m2m-server", _unpack_m2m_server)
        for name in NPM_PEERS:
            _once(directory / name, _install_npm)
    return directory


def cache() -> Path:
    """Where things are kept across checkouts: `$XDG_CACHE_HOME/fairlead`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fairlead"


def _digest() -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(path for path in LOCKS.rglob("*") if path.is_file()):
        digest.update(file.relative_to(LOCKS).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:12]


def _once(directory: Path, install: Callable[[Path], None]) -> None:
    """Run `install(directory)` unless it went through before; one that broke off begins anew."""
    done = directory.with_suffix(".installed")
    if done.exists():
        return
    shutil.rmtree(directory, ignore_errors=True)
    install(directory)
    done.touch()


def _install_python(directory: Path) -> None:
    venv.create(directory, with_pip=True)
    _pip(directory, "install", "--require-hashes", "-r", str(LOCKS / f"{directory.name}.txt"))


def _unpack_m2m_server(directory: Path) -> None:
    """Its wheel holds no code, so the code is taken out of the sdist as it is."""
    environment = directory.with_name("m2m")
    _pip(environment, "install", "--require-hashes", "-r", str(BUILD_LOCK))
    _pip(
        environment,
        *("download", "--require-hashes", "--no-deps", "--no-build-isolation", "--dest", str(directory)),
        *("-r", str(LOCKS / "m2m-server.txt")),
    )
    [sdist] = directory.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    [unpacked] = [path for path in directory.iterdir() if path.is_dir()]
    (unpacked / "m2m_mcp_server_ssh_server").rename(directory / "m2m_mcp_server_ssh_server")


def _install_npm(directory: Path) -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            msg = f"{program} is missing: the peers {', '.join(NPM_PEERS)} need Node.js {NODE_MAJOR} or newer"
            raise RuntimeError(msg)
    shutil.copytree(LOCKS / directory.name, directory)
    _run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory)


def _pip(environment: Path, *arguments: str) -> None:
    _run([str(environment / "bin" / "pip"), "--disable-pip-version-check", "--quiet", *arguments], cwd=environment)


def _run(command: list[str], *, cwd: Path) -> None:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if result.returncode != 0:
        msg = (
            f"{' '.join(command[:3])} … for {cwd.name} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
        )
        raise RuntimeError(msg)


if __name__ == "__main__":
    print(installed())
