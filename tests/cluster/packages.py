"""The Debian packages that cluster and image builder use; installed only where a command of theirs is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.console import ClusterError, step

NODE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "mount": "mount",
    "nsenter": "util-linux",
}
"""Command to package, for the node."""

IMAGES = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""Command to package, for images built without a container engine."""

SSH = {
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "sudo": "sudo",
    "zsh": "zsh",
    "mksh": "mksh",
    "fish": "fish",
    "tcsh": "tcsh",
    "google-authenticator": "libpam-google-authenticator",
}
"""Command to package, for the integration tests' private SSH servers."""

_CNI_DIRECTORIES = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


def ensure(commands: Mapping[str, str], *, cni: bool = False) -> None:
    """Make sure that the commands (and the CNI plugins) are there, on Debian by installing their packages.

    Raises ClusterError that names what is missing.
    """
    path = search_path()
    missing = {command: package for command, package in commands.items() if shutil.which(command, path=path) is None}
    if cni and cni_directory() is None:
        missing["the CNI plugin ptp"] = "containernetworking-plugins"
    if not missing:
        return
    packages = sorted(set(missing.values()))
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise ClusterError(
            f"missing: {', '.join(missing)}; install {', '.join(packages)} with your system's package manager"
        )
    with step(f"install the packages {', '.join(packages)}"):
        _apt("update", "-q")
        _apt("install", "-q", "-y", "--no-install-recommends", *packages)


def search_path() -> str:
    """Return PATH with the directories of system programs, which a user's own PATH often lacks."""
    return f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


def cni_directory() -> Path | None:
    """Return the directory that holds the CNI plugins, if there is one."""
    return next((directory for directory in _CNI_DIRECTORIES if (directory / "ptp").exists()), None)


def _apt(*arguments: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-10:])
        raise ClusterError(f"apt-get {arguments[0]} failed\n{tail}")
