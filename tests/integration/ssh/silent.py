"""Servers that misbehave on the way to a login."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration.sshd import free_port


@contextmanager
def blackhole() -> Iterator[int]:
    """A port of 127.0.0.1 where connects get no answer at all: the kernel drops them when the queue is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = int(listener.getsockname()[1])
        fillers = []
        try:
            while True:
                filler = socket.socket()
                fillers.append(filler)
                filler.settimeout(0.3)
                try:
                    filler.connect(("127.0.0.1", port))
                except TimeoutError:
                    break
            yield port
        finally:
            for filler in fillers:
                filler.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """A port where TCP connects and nothing is ever said."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield int(listener.getsockname()[1])


def closed_port() -> int:
    """A port where nothing listens."""
    return free_port()
