"""Install the peers from the committed locks, outside the checkout; once for each state of the locks.

`python -m benchmarks.peers.install` does it and prints where they are.
"""

import tarfile
from pathlib import Path

from tests.installing import directory_of, npm_packages, once, pip, python_environment

LOCKS = Path(__file__).parent / "locks"
BUILD_LOCK = Path(__file__).parents[2] / "requirements" / "build.txt"
"""hatchling, which pip needs to look into an sdist."""
PYTHON_PEERS = ("mcp-remote-ssh", "m2m")
NPM_PEERS = ("ssh-mcp", "mcp-ssh-manager")


def installed() -> Path:
    """The directory with all peers, each in a directory of its own; installs what is not there yet.

    Raises:
        RuntimeError: One can't be installed; the message holds what the installer wrote.
    """
    with directory_of("bench-peers", LOCKS) as directory:
        for name in PYTHON_PEERS:
            once(directory / name, _python_peer)
        once(directory / "m2m-server", _unpack_m2m_server)
        for name in NPM_PEERS:
            once(directory / name, _npm_peer)
    return directory


def installed_m2m() -> Path:
    """As `installed`, but only with m2m's two halves (`m2m` and `m2m-server`)."""
    with directory_of("bench-peers", LOCKS) as directory:
        once(directory / "m2m", _python_peer)
        once(directory / "m2m-server", _unpack_m2m_server)
    return directory


def _python_peer(directory: Path) -> None:
    python_environment(directory, LOCKS / f"{directory.name}.txt")


def _npm_peer(directory: Path) -> None:
    npm_packages(directory, LOCKS / directory.name, scripts=True)


def _unpack_m2m_server(directory: Path) -> None:
    """Its wheel holds no code, so the code is taken out of the sdist as it is."""
    environment = directory.with_name("m2m")
    pip(environment, "install", "--require-hashes", "-r", str(BUILD_LOCK))
    pip(
        environment,
        *("download", "--require-hashes", "--no-deps", "--no-build-isolation", "--dest", str(directory)),
        *("-r", str(LOCKS / "m2m-server.txt")),
    )
    [sdist] = directory.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        archive.extractall(directory, filter="data")
    [unpacked] = [path for path in directory.iterdir() if path.is_dir()]
    (unpacked / "m2m_mcp_server_ssh_server").rename(directory / "m2m_mcp_server_ssh_server")


if __name__ == "__main__":
    print(installed())
