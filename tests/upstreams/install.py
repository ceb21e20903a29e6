"""Install the published servers from the committed locks, outside the checkout; once for each state of the locks.

`python -m tests.upstreams.install` does it and prints where they are.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.installing import directory_of, npm_packages, once, python_environment

LOCKS = Path(__file__).parent / "locks"


@dataclass(frozen=True)
class Published:
    """Where the servers are."""

    directory: Path

    def node(self, name: str) -> tuple[str, str]:
        """Command and script of a server from npm, such as `server-everything`."""
        package = self.directory / "npm" / "node_modules" / "@modelcontextprotocol" / name
        return "node", str(package / "dist" / "index.js")

    def python(self, name: str) -> str:
        """The program of a server from PyPI, such as `mcp-server-git`."""
        return str(self.directory / "python" / "bin" / name)


def installed() -> Published:
    """All of them; installs what is not there yet.

    Raises:
        RuntimeError: One can't be installed; the message holds what the installer wrote.
    """
    with directory_of("upstreams", LOCKS) as directory:
        once(directory / "npm", lambda place: npm_packages(place, LOCKS / "npm"))
        once(directory / "python", lambda place: python_environment(place, LOCKS / "python.txt"))
    return Published(directory)


if __name__ == "__main__":
    print(installed().directory)
