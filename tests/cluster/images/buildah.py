"""Builds images where there is no container engine: a base by debootstrap, the rest by buildah in a chroot.

Both run in mount and pid namespaces of their own, so that no mount of theirs outlives them, however they end.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.cluster import packages
from tests.cluster.build import cache_dir
from tests.cluster.console import ClusterError, step
from tests.cluster.images.catalogue import Image

_SUITE = "trixie"
_INCLUDE = ("ca-certificates", "python3", "python3-venv")
_LEFT_OUT = (
    "./dev/*",
    "./proc/*",
    "./sys/*",
    "./usr/share/doc/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/share/man/*",
    "./var/cache/apt/*",
    "./var/lib/apt/lists/*",
)
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")


class Buildah:
    """Builds into an image archive, with no engine."""

    def prepare(self) -> None:
        """Install what is missing, and make the base image once."""
        packages.ensure(packages.IMAGES)
        if self._buildah("images", "-q", self.base, check=False).returncode:
            with step(f"make the base image from Debian {_SUITE} (a minute, once)"):
                self._make_base()

    @property
    def base(self) -> str:
        """The name of the base image, with a tag that changes with its recipe."""
        recipe = repr((_SUITE, _INCLUDE, _LEFT_OUT)).encode()
        return f"localhost/fairlead/base:{_SUITE}-{hashlib.sha256(recipe).hexdigest()[:8]}"

    def build(self, image: Image, reference: str, archive: Path) -> None:
        """Build the image and write it to `archive`.

        Raises ClusterError with the end of the build's output.
        """
        pip_cache = cache_dir() / "pip"
        pip_cache.mkdir(parents=True, exist_ok=True)
        volumes = ["--volume", f"{pip_cache}:/root/.cache/pip"]
        if _AUTHORITIES.exists():  # also those of this machine's own network
            volumes += ["--volume", f"{_AUTHORITIES}:{_AUTHORITIES}:ro"]
        target = ["--target", image.target] if image.target else []
        options = [
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--layers",
            "--pull=never",
            "--build-arg",
            f"BASE={self.base}",
        ]
        self._buildah(
            "build", *options, *volumes, *target, "-t", reference, "-f", str(image.dockerfile), str(image.context)
        )
        # A docker-archive leaves its layers uncompressed: what takes seconds to pack and unpack saves nothing here.
        self._buildah("push", "--quiet", reference, f"docker-archive:{archive}:{reference}")
        self._forget_outdated(image, reference)

    def _forget_outdated(self, image: Image, reference: str) -> None:
        names = ["--format", "{{.Name}}:{{.Tag}}", "--filter", f"reference={reference.rpartition(':')[0]}"]
        for name in self._buildah("images", *names).stdout.split():
            if name != reference:
                self._buildah("rmi", name)

    def _make_base(self) -> None:
        with tempfile.TemporaryDirectory(prefix="base-", dir=_images()) as directory:
            root, content = Path(directory) / "root", Path(directory) / "base.tar"
            # From Debian's own mirror, which is its default; packages are verified by signature.
            _isolated("debootstrap", "--variant=minbase", f"--include={','.join(_INCLUDE)}", _SUITE, str(root))
            excludes = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
            _isolated(
                "tar", "--create", "--numeric-owner", *excludes, "--file", str(content), "--directory", str(root), "."
            )
            dockerfile = Path(directory) / "Dockerfile"
            dockerfile.write_text('FROM scratch\nADD base.tar /\nCMD ["/bin/bash"]\n')
            self._buildah("build", "--layers=false", "-t", self.base, "-f", str(dockerfile), directory)

    @staticmethod
    def _buildah(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        storage = _images() / "buildah"
        options = ["--root", str(storage / "storage"), "--runroot", str(storage / "run")]
        return _isolated("buildah", *options, *arguments, check=check)


def _images() -> Path:
    directory = cache_dir() / "images"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _isolated(*command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    unshare = [
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
        "--propagation",
        "private",
        "--",
    ]
    environment = {
        name: value for name, value in os.environ.items() if name not in {"BUILDAH_ISOLATION", "STORAGE_DRIVER"}
    }
    environment["PATH"] = packages.search_path()
    done = subprocess.run(
        [*unshare, *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if check and done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-25:])
        raise ClusterError(f"{shutil.which(command[0]) or command[0]} failed\n{tail}")
    return done
