"""The sockets that a sidecar is reached on."""

import socket
import sys

UNACKNOWLEDGED_SECONDS = 60
"""How long what was sent may stay unacknowledged until the client counts as gone; by itself the kernel takes a quarter
of an hour to say so."""
SEND_BUFFER_BYTES = 256 * 1024
"""What the kernel holds of an answer for a slow client. It counts as the pod's memory, and could be 4 MiB."""


def listen(host: str, port: int) -> socket.socket:
    """A bound TCP socket for `serve`.

    Raises:
        OSError: The address is in use or not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family, backlog=1024)
    # Accepted sockets inherit these. Without the first, the end of an answer would wait for the beginning to be
    # acknowledged.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    if sys.platform == "linux":
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_SECONDS * 1000)
    return listening
