"""Certificate authorities, and hosts that trust them."""

import base64
from typing import Any

from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.kube import Object
from tests.e2e.support.objects import API_VERSION, remote_host
from tests.e2e.support.waiting import wait_until

AUTHORITIES = "/etc/ssh/authorities.pub"
REVOKED = "/etc/ssh/revoked.krl"


def authority(namespace: str, name: str = "fleet", **spec: Any) -> Object:
    """An SSHCertificateAuthority whose key is generated."""
    return {
        "apiVersion": API_VERSION,
        "kind": "SSHCertificateAuthority",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"type": "Generated", **spec},
    }


def certified(shop: Shop, name: str, host: SshHost, **certificate: Any) -> Object:
    """A RemoteHost that logs in with certificates of the authority `fleet`."""
    auth = {"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}, **certificate}}
    return remote_host(shop.namespace, name, host.address, host.public_host_key, auth=auth)


def authority_status(shop: Shop, name: str = "fleet") -> Object:
    """The authority's status; empty where there is none yet."""
    found = shop.kube.get("sshca", name, shop.namespace) or {}
    return found.get("status") or {}


def trusted_keys(shop: Shop) -> str:
    """What the authority says belongs into TrustedUserCAKeys."""
    return str(
        wait_until(lambda: authority_status(shop).get("trustedUserCAKeys"), what="the authority has a public key")
    )


def write(host: SshHost, path: str, content: bytes) -> None:
    """A file on the host."""
    text = base64.b64encode(content).decode()
    host.run("sh", "-c", f"echo {text} | base64 -d > {path}.new && mv {path}.new {path}")


def trust(host: SshHost, keys: str) -> None:
    """Let the host's sshd trust these authorities, as soon as somebody logs in."""
    write(host, AUTHORITIES, keys.encode() + b"\n")


def trust_only_authorities(host: SshHost, keys: str, *options: str) -> None:
    """Let nobody in any more but with a certificate."""
    trust(host, keys)
    lines = "\\n".join((f"TrustedUserCAKeys {AUTHORITIES}", *options))
    # The first value of an option counts.
    edit = f"sed -i 's|^AuthorizedKeysFile.*|AuthorizedKeysFile none\\n{lines}|' /etc/ssh/sshd_config"
    host.run("sh", "-c", f"{edit} && sshd -t && kill -HUP 1")


def certificate(shop: Shop, name: str = "web-01", prefix: str = "") -> str:
    """The certificate in the host's Secret; empty where there is none."""
    found = shop.kube.get("secret", f"rh-{name}.certificate", shop.namespace) or {}
    return base64.b64decode((found.get("data") or {}).get(f"{prefix}ssh-certificate", "")).decode()


def shown(host: SshHost, text: str) -> str:
    """What OpenSSH says of a certificate."""
    write(host, "/tmp/shown-cert.pub", text.encode() + b"\n")
    return host.run("ssh-keygen", "-L", "-f", "/tmp/shown-cert.pub")


def serials(shop: Shop, name: str = "web-01") -> set[int]:
    """The serials in force of a host, as the authority lists them."""
    listed = authority_status(shop).get("certificates") or ()
    return {some["serial"] for some in listed if some["host"] == name}


def revocation_list(shop: Shop) -> bytes:
    """The list that the authority publishes."""
    name = authority_status(shop)["keyRevocationList"]["configMapName"]
    found = shop.kube.get("configmap", name, shop.namespace)
    assert found is not None
    return base64.b64decode(found["binaryData"]["krl"])
