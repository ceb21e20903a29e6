import subprocess
import sys

import pytest

LARGE_MESSAGES = """
import gc, os
from pathlib import Path
from fairlead_sidecar import allocator
{begin}
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
def message():
    copies, small = [], []
    for size in range(1, 9):
        copies.append(bytearray(size * 1_000_000))
        small.append(bytearray(1000))
    return small
message()
before = resident()
kept = [message() for _ in range(3)]
print(resident() - before)
"""


def growth(begin: str) -> int:
    script = LARGE_MESSAGES.format(begin=begin)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of other systems")
def test_memory_of_large_messages_goes_back_to_the_system() -> None:
    assert growth("allocator.give_large_blocks_back()") < 2 * 2**20
    assert growth("") > 8 * 2**20
