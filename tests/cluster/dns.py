"""Asks the cluster's DNS from inside its network namespace, as a pod would."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.namespaces import CLONE_NEWNET, join

NO_ERROR = 0
NO_SUCH_NAME = 3


@dataclass(frozen=True)
class Answer:
    """The response code (RFC 1035, 4.1.1) and, when there is none but NO_ERROR, the last address of the answer."""

    code: int
    address: str


def ask(holder: int, server: str, name: str, *, timeout: float = 1) -> Answer:
    """Ask for the IPv4 address of `name`, in the network namespace of process `holder`.

    Raises OSError when no answer comes within `timeout` seconds.
    """

    def exchange() -> bytes:
        join(Path(f"/proc/{holder}/ns/net"), CLONE_NEWNET)  # moves this thread only, and it ends here
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout)
            sock.sendto(_query(name), (server, 53))
            return sock.recv(512)

    with ThreadPoolExecutor(max_workers=1) as thread:
        answer = thread.submit(exchange).result()
    code = answer[3] & 0xF
    return Answer(code, socket.inet_ntoa(answer[-4:]) if code == NO_ERROR else "")


def _query(name: str) -> bytes:
    header = bytes.fromhex("1234 0100 0001 0000 0000 0000")  # an id, "recursion desired", one question
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return header + labels + b"\0" + bytes.fromhex("0001 0001")  # type A, class IN
