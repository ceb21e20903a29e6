"""Live output as progress."""

import asyncio

from fairlead_sidecar.tools.progress import MESSAGE_CHARACTERS, LiveOutput


class Client:
    """Takes notifications, one at a time, only while `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.seen: list[tuple[float, str]] = []
        self.got = asyncio.Event()

    async def report(self, value: float, message: str) -> None:
        await self.open.wait()
        self.seen.append((value, message))
        self.got.set()


async def test_a_slow_client_never_holds_the_command_up_and_memory_stays_bounded() -> None:
    client = Client()
    client.open.clear()
    live = LiveOutput(client.report)
    async with asyncio.timeout(5), live.reporting():
        for number in range(1000):
            live.write("stdout", f"{number:09}\n".encode() * 100)
        client.open.set()
        await client.got.wait()
    value, message = client.seen[-1]
    assert value == 1_000_000
    assert message.startswith("[… 991808 characters left out …]\n")
    assert message.endswith("000000999\n")
    assert len(message) < MESSAGE_CHARACTERS + 100


async def test_a_character_split_between_two_pieces_arrives_whole() -> None:
    client = Client()
    live = LiveOutput(client.report)
    async with asyncio.timeout(5), live.reporting():
        live.write("stdout", "ü".encode()[:1])
        live.write("stderr", b"!")
        live.write("stdout", "ü".encode()[1:])
        await client.got.wait()
    assert client.seen == [(3.0, "!ü")]


async def test_nothing_hides_in_a_notification_and_line_ends_of_dos_stay_whole() -> None:
    client = Client()
    live = LiveOutput(client.report)
    async with asyncio.timeout(5), live.reporting():
        live.write("stdout", b"\x1b[2Jone\r")
        await client.got.wait()
        client.got.clear()
        live.write("stdout", b"\ntwo\r50%\n")
        await client.got.wait()
    assert "".join(message for _, message in client.seen) == "␛[2Jone\r\ntwo␍50%\n"
