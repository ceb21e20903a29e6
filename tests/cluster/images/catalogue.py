"""Which images there are, what each is built from, and the key that changes with it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.state import REPOSITORY

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Image:
    """One image: a target of a Dockerfile, and the files it is made from."""

    name: str
    dockerfile: Path
    context: Path
    sources: tuple[str, ...]
    """Files and directories below the context that decide what comes out."""
    target: str = ""
    """The Dockerfile's stage; empty for its only one."""

    def key(self, base: str) -> str:
        """Twelve hex digits that change with the sources, the Dockerfile and the base."""
        digest = hashlib.sha256(f"{base}\n{self.target}\n".encode() + self.dockerfile.read_bytes())
        for path in self._files():
            digest.update(b"\0" + str(path.relative_to(self.context)).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:12]

    def reference(self, base: str) -> str:
        """The image's name, with the key as its tag: `localhost/fairlead/NAME:KEY`."""
        return f"localhost/fairlead/{self.name}:{self.key(base)}"

    def _files(self) -> Iterator[Path]:
        for source in self.sources:
            path = self.context / source
            found = [path] if path.is_file() else path.rglob("*")
            yield from sorted(file for file in found if file.is_file() and "__pycache__" not in file.parts)


def _ours(name: str) -> Image:
    wheel = ("LICENSE", "README.md", "pyproject.toml", "crds", "client", "sidecar", "operator")
    requirements = ("requirements/build.txt", f"requirements/{name}.txt")
    return Image(name, REPOSITORY / "Dockerfile", REPOSITORY, (*wheel, *requirements), target=name)


OPERATOR = _ours("operator")
SIDECAR = _ours("sidecar")
SSHHOST = Image(
    "sshhost",
    _HERE / "sshhost" / "Dockerfile",
    _HERE / "sshhost",
    ("requirements.txt", "shop_stock.py", "sshd_config"),
)

IMAGES = (OPERATOR, SIDECAR, SSHHOST)
