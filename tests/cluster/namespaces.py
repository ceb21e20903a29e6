"""The node's own pid, mount and network namespaces, all held by one process.

When that one ends, the kernel ends everything in them. So nothing can be left behind, however the cluster came to its
end: no process, no mount, no interface, and no name to clean up.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# From <linux/sched.h>; the `os` module has these and the two calls from Python 3.12 on.
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def join(path: Path, kind: int) -> None:
    """Move the calling thread into the namespace at `path` (see setns(2)); for a pid namespace, its future children.

    Raises OSError.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(handle, kind):
            raise _error("setns")
    finally:
        os.close(handle)


@contextmanager
def children_in(holder: int) -> Iterator[None]:
    """Let processes started in this block be born in the pid namespace of process `holder`."""
    join(Path(f"/proc/{holder}/ns/pid"), CLONE_NEWPID)
    try:
        yield
    finally:
        join(Path("/proc/self/ns/pid"), CLONE_NEWPID)


@contextmanager
def children_in_new_pid_namespace() -> Iterator[None]:
    """Let the first process started in this block be pid 1 of a new pid namespace."""
    if _libc.unshare(CLONE_NEWPID):
        raise _error("unshare")
    try:
        yield
    finally:
        join(Path("/proc/self/ns/pid"), CLONE_NEWPID)


def entering(holder: int) -> list[str]:
    """Return the command prefix that runs a program in the mount and network namespaces of `holder`."""
    return ["nsenter", f"--mount=/proc/{holder}/ns/mnt", f"--net=/proc/{holder}/ns/net", "--"]


def _error(call: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{call}: {os.strerror(number)}")
