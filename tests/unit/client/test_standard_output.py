import subprocess
import sys

PROGRAM = """
import asyncio, os
from fairlead_client.serve.standard_output import PIECE, claimed

async def main():
    with claimed() as stdout:
        os.write(1, b"stray")
        await stdout.write("é€𝄞" * PIECE + "\\n")
        await stdout.flush()
    os.write(1, b"after")

asyncio.run(main())
"""


def test_large_message_arrives_whole_and_nothing_else_with_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, timeout=60, check=True)
    assert done.stdout.decode() == "é€𝄞" * 64 * 1024 + "\nafter"
    assert done.stderr == b"stray"
