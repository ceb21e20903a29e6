"""A link with a long way: a TCP proxy that delays each direction by exactly so much.

A process of its own, whose threads sleep: timers of an event loop are late by up to a millisecond each way, and one in
the client's process also by what the client does. Run as `python -m benchmarks.long_way PORT SECONDS TARGET_PORT`.
"""

import contextlib
import queue
import socket
import sys
import threading
import time

_PIECE = 256 * 1024


def serve(port: int, seconds: float, target: int) -> None:
    """Take connections on `port` of 127.0.0.1 and lead each to port `target`, `seconds` away, until killed."""
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            near, _ = server.accept()
            far = socket.create_connection(("127.0.0.1", target))
            for source, sink in ((near, far), (far, near)):
                sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                threading.Thread(target=_take, args=(source, pieces, seconds), daemon=True).start()
                threading.Thread(target=_give, args=(sink, pieces), daemon=True).start()


def _take(source: socket.socket, pieces: "queue.SimpleQueue[tuple[float, bytes]]", seconds: float) -> None:
    data = b"-"
    while data:
        try:
            data = source.recv(_PIECE)
        except ConnectionError:
            data = b""
        pieces.put((time.monotonic() + seconds, data))


def _give(sink: socket.socket, pieces: "queue.SimpleQueue[tuple[float, bytes]]") -> None:
    with contextlib.suppress(OSError):
        while True:
            due, data = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            sink.sendall(data)


if __name__ == "__main__":
    serve(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
