"""Commands as another account: who may, as whom, with which password."""

from typing import Any

import pytest

from tests.e2e.support.agent import try_call
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until

EVERYTHING = ["View", "Read", "Execute", "Write", "Sudo"]


@pytest.fixture
def sudo_shop(shop: Shop, own_ssh_host: SshHost) -> Shop:
    """A shop whose host `db-01` the test may break, and an agent with the permission Sudo."""
    own_ssh_host.run("useradd", "--create-home", "app")
    shop.kube.apply(
        secret(shop.namespace, "db-01-ssh", ssh_privatekey=own_ssh_host.private_key),
        remote_host(shop.namespace, "db-01", own_ssh_host.address, own_ssh_host.public_host_key),
        mcp_token(shop.namespace, "admin", ["db-01"], EVERYTHING),
        mcp_token(shop.namespace, "plain", ["db-01"], EVERYTHING[:-1]),
    )
    for name in ("admin", "plain"):
        shop.wait_token_ready(name)
    shop.wait_ready("db-01")
    shop.wait_routed("db-01")
    return shop


def allow(host: SshHost, rule: str) -> None:
    host.run("sh", "-c", f"umask 227; echo 'deploy ALL=({rule}' > /etc/sudoers.d/deploy")


def set_policy(shop: Shop, **sudo: Any) -> None:
    shop.kube.patch("rh", "db-01", shop.namespace, {"spec": {"policy": {"sudo": sudo}}})


def run(shop: Shop, token: str = "admin", **arguments: Any) -> dict[str, Any]:
    return try_call(shop.url("db-01"), shop.token(token), "execute_command", **{"command": "id -un", **arguments})


def test_sudo_is_refused_until_the_policy_and_the_token_allow_it(sudo_shop: Shop, own_ssh_host: SshHost) -> None:
    allow(own_ssh_host, "root,app) NOPASSWD: ALL")
    assert run(sudo_shop, sudo=True)["is_error"]
    set_policy(sudo_shop, type="Passwordless", users=["app"])
    wait_until(lambda: run(sudo_shop, as_user="app").get("stdout") == "app\n", what="commands run as app")
    assert run(sudo_shop)["stdout"] == "deploy\n"
    assert run(sudo_shop, sudo=True)["code"] == "policy_denied"
    assert run(sudo_shop, "plain", as_user="app")["is_error"]
    assert run(sudo_shop, "plain")["stdout"] == "deploy\n"


def test_a_password_comes_from_its_secret_and_shows_nowhere(sudo_shop: Shop, own_ssh_host: SshHost) -> None:
    allow(own_ssh_host, "root) ALL")
    own_ssh_host.run("sh", "-c", "echo deploy:right-password | chpasswd")
    sudo_shop.kube.apply(secret(sudo_shop.namespace, "db-01-sudo", password="wrong-password"))
    set_policy(sudo_shop, type="Password", passwordSecretRef={"name": "db-01-sudo", "key": "password"})
    wait_until(lambda: run(sudo_shop, sudo=True).get("code") == "sudo_failed", what="the password is refused")
    # A Secret that was not mounted before takes a new pod.
    sudo_shop.only_pod("db-01")
    sudo_shop.kube.apply(secret(sudo_shop.namespace, "db-01-sudo", password="right-password"))
    wait_until(lambda: run(sudo_shop, sudo=True).get("stdout") == "root\n", what="the password is taken")
    seen = run(sudo_shop, sudo=True, command="ps -eo args; env; cat /proc/$PPID/environ | tr '\\0' '\\n'")
    assert "right-password" not in seen["stdout"]
    logs = sudo_shop.kube.run("logs", "-n", sudo_shop.namespace, "deploy/rh-db-01")
    assert "-password" not in logs.replace("db-01-sudo", "")
