"""Servers that misbehave on the way to a login."""

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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


@contextmanager
def hostile_server(reason: bytes) -> Iterator[int]:
    """A port where the greeting is followed by a disconnect message (RFC 4253, section 11.1) with this text."""
    message = b"\x01" + struct.pack(">II", 2, len(reason)) + reason + struct.pack(">I", 0)
    padding = 8 - (len(message) + 5) % 8
    padding += 8 if padding < 4 else 0
    packet = struct.pack(">IB", len(message) + padding + 1, padding) + message + bytes(padding)

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"SSH-2.0-hostile\r\n" + packet)
                connection.settimeout(2)
                # Until the client hangs up: closing with its bytes unread would reset the connection.
                with suppress(OSError):
                    while connection.recv(4096):
                        pass

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        thread = threading.Thread(target=answer)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
