"""Host keys of real SSH servers: the first one is pinned, another one stops everything until a person has decided."""

import asyncssh

from tests.cluster import sshhost
from tests.cluster.images import load
from tests.cluster.state import State
from tests.e2e.support.agent import call, try_call
from tests.e2e.support.hosts import Shop, SshHost, new_key, private_pem, public_line
from tests.e2e.support.kube import condition, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import settled, wait_until

FIRST_USE = {"type": "TrustOnFirstUse"}
ANNOTATION = "fairlead.dev/accept-host-key"
NAME = "web-02"


def change_key(server: SshHost, key: asyncssh.SSHKey) -> str:
    """Let the server come back with another host key. Returns its fingerprint."""
    user_key = asyncssh.import_private_key(server.private_key)
    image = load.loaded(State.of_checkout())["sshhost"]
    server.kube.apply(
        *sshhost.manifests(
            server.name,
            server.namespace,
            image=image,
            host_key=private_pem(key),
            authorized_keys=public_line(user_key),
        )
    )
    server.wait_on()
    return str(key.get_fingerprint())


def connections(server: SshHost) -> int:
    """How many were made to the server since it started."""
    lines = settled(server.log, what="the server's log", pause=1).splitlines()
    return sum("Connection" in line or "Accepted" in line or "host key" in line for line in lines)


def add(shop: Shop, server: SshHost, **spec: object) -> None:
    """A RemoteHost for the server, and a token."""
    shop.kube.apply(
        secret(shop.namespace, f"{NAME}-ssh", ssh_privatekey=server.private_key),
        remote_host(shop.namespace, NAME, server.address, server.public_host_key, **spec),
        mcp_token(shop.namespace, "second", [NAME]),
    )


def accept(shop: Shop, value: str) -> None:
    shop.kube.run("annotate", "rh", NAME, "-n", shop.namespace, f"{ANNOTATION}={value}", "--overwrite")


def fingerprint(line: str) -> str:
    return str(asyncssh.import_public_key(line).get_fingerprint())


def events(shop: Shop, reason: str) -> list[tuple[str, str]]:
    """Type and message of the Events about the host with this reason."""
    found = shop.kube.list("events.events.k8s.io", shop.namespace)
    return [
        (item["type"], item["note"]) for item in found if item["reason"] == reason and item["regarding"]["name"] == NAME
    ]


async def test_the_first_key_is_pinned_and_agents_work(shop: Shop, own_ssh_host: SshHost) -> None:
    add(shop, own_ssh_host, hostKey=FIRST_USE)
    shop.wait_ready(NAME)
    host = shop.host(NAME)
    assert host["status"]["pinnedHostKey"] == own_ssh_host.public_host_key
    assert condition(host, "HostKeyTrusted")["reason"] == "HostKeyMatches"
    assert wait_until(lambda: events(shop, "HostKeyPinned"), what="an Event")[0][0] == "Normal"
    shop.wait_token_ready("second")
    shop.wait_routed(NAME)
    result = await call(shop.url(NAME), shop.token("second"), "execute_command", command="id -un")
    assert result["stdout"] == "deploy\n"


def test_another_key_stops_everything_until_a_person_accepts_it(shop: Shop, own_ssh_host: SshHost) -> None:
    add(shop, own_ssh_host, hostKey=FIRST_USE)
    shop.wait_ready(NAME)
    shop.wait_token_ready("second")
    shop.wait_routed(NAME)
    former = fingerprint(own_ssh_host.public_host_key)

    new = change_key(own_ssh_host, new_key())
    found = shop.wait_not_ready("HostKeyMismatch", NAME)
    assert former in found["message"]
    assert new in found["message"]
    assert ANNOTATION in found["message"], "what to do"
    (kind, note) = wait_until(lambda: events(shop, "HostKeyMismatch"), what="an Event")[0]
    assert kind == "Warning"
    assert former in note
    assert new in note
    described = shop.kube.run("describe", "rh", NAME, "-n", shop.namespace)
    assert former in described
    assert new in described
    refused = try_call(shop.url(NAME), shop.token("second"), "execute_command", command="true")
    assert refused["is_error"]
    assert refused["code"] == "host_key_mismatch", refused

    # A new pod does not try, either.
    before = connections(own_ssh_host)
    shop.kube.run("delete", "pod", "-n", shop.namespace, "-l", f"fairlead.dev/host={NAME}", "--wait=true")
    wait_condition(shop.kube, "rh", NAME, shop.namespace, "Ready", "False", reason="HostKeyMismatch")
    refused = wait_until(
        lambda: (
            answer
            if "code" in (answer := try_call(shop.url(NAME), shop.token("second"), "execute_command", command="true"))
            else None
        ),
        what="the new pod answers",
    )
    assert refused["code"] == "host_key_mismatch", refused
    assert connections(own_ssh_host) == before

    accept(shop, new)
    shop.wait_ready(NAME)
    assert fingerprint(shop.host(NAME)["status"]["pinnedHostKey"]) == new
    assert wait_until(lambda: events(shop, "HostKeyAccepted"), what="an Event")[0][0] == "Normal"
    result = try_call(shop.url(NAME), shop.token("second"), "execute_command", command="id -un")
    assert result["stdout"] == "deploy\n"


def test_the_former_key_goes_on_once_a_person_says_so(shop: Shop, own_ssh_host: SshHost) -> None:
    """The server was somebody else's for a while: its address led to another machine."""
    key = new_key()
    change_key(own_ssh_host, key)
    shop.kube.apply(
        secret(shop.namespace, f"{NAME}-ssh", ssh_privatekey=own_ssh_host.private_key),
        remote_host(shop.namespace, NAME, own_ssh_host.address, public_line(key)),
    )
    shop.wait_ready(NAME)
    change_key(own_ssh_host, new_key())
    shop.wait_not_ready("HostKeyMismatch", NAME)
    change_key(own_ssh_host, key)
    assert condition(shop.host(NAME), "Ready")["reason"] == "HostKeyMismatch", "it does not heal by itself"
    accept(shop, str(key.get_fingerprint()))
    shop.wait_ready(NAME)
    assert "refusedHostKey" not in shop.host(NAME)["status"]


def test_a_pin_that_somebody_deletes_is_not_learnt_anew(shop: Shop, own_ssh_host: SshHost) -> None:
    add(shop, own_ssh_host, hostKey=FIRST_USE)
    shop.wait_ready(NAME)
    shop.kube.run("delete", "secret", f"rh-{NAME}.host-key", "-n", shop.namespace)
    change_key(own_ssh_host, new_key())
    shop.wait_not_ready("HostKeyMismatch", NAME)
    assert shop.host(NAME)["status"]["pinnedHostKey"] == own_ssh_host.public_host_key
    assert shop.kube.get("secret", f"rh-{NAME}.host-key", shop.namespace) is not None
