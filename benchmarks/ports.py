"""Ports for servers under measurement."""

import random
import socket

RANGE = range(20_000, 30_000)
"""Below the kernel's range for outgoing connections, so that none takes the port before the server does."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nothing listens on, and that no outgoing connection is given."""
    while True:
        port = random.choice(RANGE)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
