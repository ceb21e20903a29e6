"""How the C library's allocator treats what large messages leave behind."""

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGE_BYTES = 128 * 1024


def give_large_blocks_back() -> None:
    """Let each large block go back to the system as soon as it is freed. Does nothing without glibc.

    glibc begins like that, but takes the first such block for a sign that more of its size will come, and keeps them;
    and it does so for each thread. A process would stay as large as its largest answers, several times over, for as
    long as it lives.
    """
    with suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_ARENA_MAX, 1)
