"""m2m-mcp-server-ssh-server's key server: it tells the SSH server's host key and takes a client's public key."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx2

from fairlead_client.connect import answers, url
from fairlead_client.connect.errors import ConnectError

SECONDS = 10.0


def default_url(host: str) -> str:
    """Where m2m's is: beside the SSH server."""
    return f"http://[{host}]:8000" if ":" in host else f"http://{host}:8000"


def check(root: str, place: str) -> str:
    """Its URL, if what it says can be believed.

    Args:
        root: Its root.
        place: `HOST:PORT` of the SSH server, for the message.

    Raises:
        ConnectError: Whoever is on the way to it could say another key, and be the server.
    """
    checked = url.check(root).rstrip("/")
    if url.is_readable_on_the_way(checked):
        msg = (
            f"the key server {checked} is on another machine and speaks plain HTTP: whoever is on the way could name "
            f"a host key of their own. Name one that speaks https (--key-server); or run `curl http://127.0.0.1:"
            f"{urlsplit(checked).port or 80}/server_pub_key` on that machine, write the key into known_hosts as "
            f"`{place} KEY`, and add your public key there yourself"
        )
        raise ConnectError(msg)
    return checked


def host_key(root: str) -> str:
    """The server's public key, in OpenSSH's one-line format.

    Raises:
        ConnectError: It does not tell.
    """
    key = _call("GET", f"{root}/server_pub_key").get("server_pub_key")
    if not isinstance(key, str) or not key.strip():
        msg = f"the key server {root} tells no server_pub_key"
        raise ConnectError(msg)
    return key.strip()


def register(root: str, public_key: str) -> None:
    """Let the key in.

    Raises:
        ConnectError: The key server does not take it.
    """
    # Algorithm and key alone: m2m compares the text with what a login offers, and that has no comment.
    _call("POST", f"{root}/register", {"client_pub_key": " ".join(public_key.split()[:2])})


def _call(method: str, address: str, content: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        response = httpx2.request(
            method, address, json=content, timeout=SECONDS, trust_env=not url.is_loopback(address)
        )
        answer = response.json() if response.text else {}
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        msg = f"the key server does not answer at {address}: {answers.shown(str(error))}"
        raise ConnectError(msg) from error
    except json.JSONDecodeError:
        answer = None
    if response.status_code != 200 or not isinstance(answer, dict):
        said = answer.get("error") if isinstance(answer, dict) else None
        detail = f": {answers.shown(said)}" if isinstance(said, str) else ""
        msg = f"the key server answered {method} {address} with HTTP {response.status_code}{detail}"
        raise ConnectError(msg)
    return answer
