"""Builds images with the container engine at hand."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.console import ClusterError
from tests.cluster.images.catalogue import Image


@dataclass(frozen=True)
class Engine:
    """Builds with docker or podman, from the bases that the Dockerfiles name."""

    program: str
    base: str = "default"

    def prepare(self) -> None:
        """Nothing: the engine pulls what it needs."""

    def build(self, image: Image, reference: str, archive: Path) -> None:
        """Build the image and write it to `archive`.

        Raises ClusterError with the end of the build's output.
        """
        target = ["--target", image.target] if image.target else []
        self._run("build", *target, "-t", reference, "-f", str(image.dockerfile), str(image.context))
        self._run("save", "-o", str(archive), reference)

    def _run(self, *arguments: str) -> None:
        command = [self.program, *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            tail = "\n".join(done.stdout.splitlines()[-25:])
            raise ClusterError(f"{self.program} {arguments[0]} failed\n{tail}")
