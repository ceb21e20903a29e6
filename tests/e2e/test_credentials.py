"""SSH credentials: missing, wrong, mended; each says what to do, and nothing restarts."""

from tests.e2e.support.agent import call
from tests.e2e.support.hosts import Shop, new_key, private_pem, public_line
from tests.e2e.support.kube import condition, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until

SOON = 60.0
"""Seconds: without having been told, the kubelet would mostly take longer to look at what a pod mounts."""


def _apply_host(shop: Shop, name: str, **spec: object) -> None:
    host = shop.ssh_host
    shop.kube.apply(remote_host(shop.namespace, name, host.address, host.public_host_key, **spec))


def _pod_names(shop: Shop, host: str) -> set[str]:
    return {p["metadata"]["name"] for p in shop.kube.list("pods", shop.namespace, f"fairlead.dev/host={host}")}


def test_a_missing_secret_is_named_and_its_appearance_heals(shop: Shop) -> None:
    _apply_host(shop, "web-02")
    found = shop.wait_not_ready("SecretNotFound", "web-02")
    assert "web-02-ssh" in found["message"]
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=shop.ssh_host.private_key))
    shop.wait_ready("web-02")


def test_a_wrong_key_is_an_authentication_failure_until_the_secret_is_mended_without_a_restart(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=private_pem(new_key())))
    _apply_host(shop, "web-02")
    found = shop.wait_not_ready("AuthenticationFailed", "web-02")
    assert "deploy" in found["message"]
    pods = _pod_names(shop, "web-02")
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=shop.ssh_host.private_key))
    shop.wait_ready("web-02", timeout=SOON)
    assert _pod_names(shop, "web-02") == pods


def test_a_wrong_passphrase_says_so(shop: Shop) -> None:
    import asyncssh

    encrypted = private_pem(asyncssh.import_private_key(shop.ssh_host.private_key), passphrase="right")
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=encrypted, passphrase="wrong"))
    _apply_host(shop, "web-02")
    shop.wait_not_ready("CredentialsInvalid", "web-02")
    found = condition(shop.host("web-02"), "CredentialsReady")
    assert found["status"] == "False"
    assert "passphrase" in found["message"]
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=encrypted, passphrase="right"))
    shop.wait_ready("web-02", timeout=SOON)


async def test_a_generated_key_logs_in_once_its_public_half_is_authorized(shop: Shop) -> None:
    _apply_host(shop, "web-02", auth={"type": "Generated", "generated": {}})
    public_key = wait_until(lambda: shop.host("web-02").get("status", {}).get("publicKey"), what="status.publicKey")
    shop.wait_not_ready("AuthenticationFailed", "web-02")
    authorize = f"echo '{public_key}' >> /home/deploy/.ssh/authorized_keys"
    shop.ssh_host.run("sh", "-c", f"mkdir -p /home/deploy/.ssh && {authorize}")
    shop.wait_ready("web-02")
    shop.kube.apply(mcp_token(shop.namespace, "second", ["web-02"]))
    shop.wait_token_ready("second")
    shop.wait_routed("web-02")
    result = await call(shop.url("web-02"), shop.token("second"), "execute_command", command="id -un")
    assert result["stdout"] == "deploy\n"


def test_a_wrong_host_key_stops_everything_and_shows_the_fingerprint(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=shop.ssh_host.private_key))
    shop.kube.apply(remote_host(shop.namespace, "web-02", shop.ssh_host.address, public_line(new_key())))
    found = shop.wait_not_ready("HostKeyMismatch", "web-02")
    assert "SHA256:" in found["message"]
    status = shop.host("web-02")["status"]
    assert condition({"status": status}, "HostKeyTrusted")["status"] == "False"
    assert status["hostKeyFingerprint"] in found["message"]
    shop.kube.patch(
        "rh",
        "web-02",
        shop.namespace,
        {"spec": {"hostKey": {"type": "Pinned", "pinned": {"publicKeys": [shop.ssh_host.public_host_key]}}}},
    )
    shop.wait_ready("web-02", timeout=SOON)


def test_an_unknown_host_name_is_unreachable_and_says_which(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=shop.ssh_host.private_key))
    shop.kube.apply(
        remote_host(shop.namespace, "web-02", "no-such-host.example.invalid", shop.ssh_host.public_host_key)
    )
    found = shop.wait_not_ready("Unreachable", "web-02")
    assert "no-such-host.example.invalid" in found["message"]
    assert wait_condition(shop.kube, "rh", "web-01", shop.namespace, "Ready", "True"), "other hosts carry on"
