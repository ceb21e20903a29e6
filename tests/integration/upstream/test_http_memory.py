import asyncio
import sys

import pytest

from tests.integration.sshd import Sshd
from tests.integration.upstream.http_servers import KINDS, Seen, http_server, mcp_app, serving

SIZE = 10 * 1024 * 1024
ALLOWED_GROWTH = 32 * 1024 * 1024


@pytest.mark.parametrize("kind", KINDS)
async def test_a_result_of_ten_megabytes_grows_memory_little(kind: str, sshd: Sshd) -> None:
    async with serving(mcp_app(kind, Seen())) as port:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.integration.upstream.big_result_probe"),
            *(sshd.sidecar_config().render(), http_server(port, kind).model_dump_json(), str(SIZE)),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
    growth, length = map(int, output.split())
    print(f"memory growth over a result of 10 MiB ({kind}): {growth / 2**20:.1f} MiB")
    assert length > SIZE - 9
    assert growth < ALLOWED_GROWTH
