"""Installing programs that tests and benchmarks drive: from committed locks, outside the checkout, once."""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

NODE_MAJOR = 20
INSTALL_SECONDS = 900


def cache() -> Path:
    """Where things are kept across checkouts: `$XDG_CACHE_HOME/fairlead`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fairlead"


@contextmanager
def directory_of(name: str, locks: Path) -> Iterator[Path]:
    """The directory for what `locks` (a directory of lock files) says; nobody else installs there meanwhile."""
    digest = hashlib.sha256(sys.version.encode())
    for file in sorted(path for path in locks.rglob("*") if path.is_file()):
        digest.update(file.relative_to(locks).as_posix().encode() + b"\0" + file.read_bytes())
    directory = cache() / f"{name}-{digest.hexdigest()[:12]}"
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits for the first one's installation
        yield directory


def once(directory: Path, install: Callable[[Path], None]) -> None:
    """Run `install(directory)` unless it went through before; one that broke off begins anew.

    Raises:
        RuntimeError: It can't be installed; the message holds what the installer wrote.
    """
    done = directory.with_suffix(".installed")
    if done.exists():
        return
    shutil.rmtree(directory, ignore_errors=True)
    install(directory)
    done.touch()


def python_environment(directory: Path, lock: Path) -> None:
    """A virtual environment with what a lock file names.

    Raises:
        RuntimeError: As for `once`.
    """
    venv.create(directory, with_pip=True)
    pip(directory, "install", "--require-hashes", "-r", str(lock))


def npm_packages(directory: Path, lock: Path, *, scripts: bool = False) -> None:
    """A directory with `node_modules`, from one with `package.json` and `package-lock.json`.

    Args:
        scripts: Whether packages may run their install scripts, which build native parts.

    Raises:
        RuntimeError: As for `once`.
    """
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            msg = f"{program} is missing: {lock.name} needs Node.js {NODE_MAJOR} or newer"
            raise RuntimeError(msg)
    shutil.copytree(lock, directory)
    ignored = [] if scripts else ["--ignore-scripts"]
    _run(["npm", "ci", *ignored, "--no-audit", "--no-fund", "--loglevel=error"], cwd=directory)


def pip(environment: Path, *arguments: str) -> None:
    """Run the pip of a virtual environment.

    Raises:
        RuntimeError: It failed; the message holds what it wrote.
    """
    _run([str(environment / "bin" / "pip"), "--disable-pip-version-check", "--quiet", *arguments], cwd=environment)


def _run(command: list[str], *, cwd: Path) -> None:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    if result.returncode != 0:
        msg = (
            f"{' '.join(command[:3])} … for {cwd.name} ended with {result.returncode}:\n{result.stdout}{result.stderr}"
        )
        raise RuntimeError(msg)
