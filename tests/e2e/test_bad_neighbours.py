"""What belongs to others is left alone, and one bad object hurts nobody else."""

from tests.e2e.support.agent import call, initialize
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import condition, wait_condition
from tests.e2e.support.objects import mcp_token, remote_host, secret
from tests.e2e.support.waiting import wait_until


def test_a_foreign_object_with_a_childs_name_is_a_conflict_and_stays_as_it_is(shop: Shop) -> None:
    foreign = secret(shop.namespace, "rh-web-02", mine="hands off")
    shop.kube.apply(foreign, secret(shop.namespace, "web-02-ssh", ssh_privatekey=shop.ssh_host.private_key))
    host = shop.ssh_host
    shop.kube.apply(remote_host(shop.namespace, "web-02", host.address, host.public_host_key))
    found = shop.wait_not_ready("NameConflict", "web-02")
    assert "rh-web-02" in found["message"]
    kept = shop.kube.get("secret", "rh-web-02", shop.namespace)
    assert kept is not None
    assert set(kept["data"]) == {"mine"}
    shop.kube.delete("secret", "rh-web-02", shop.namespace)
    shop.wait_ready("web-02")


def test_a_token_never_overwrites_somebody_elses_secret(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "precious", key="value"))
    shop.kube.apply(mcp_token(shop.namespace, "greedy", ["web-01"], secretName="precious"))
    wait_condition(shop.kube, "mcptoken", "greedy", shop.namespace, "Ready", "False", reason="NameConflict")
    kept = shop.kube.get("secret", "precious", shop.namespace)
    assert kept is not None
    assert set(kept["data"]) == {"key"}


def test_two_hosts_at_the_same_url_the_older_one_keeps_it(shop: Shop) -> None:
    host = shop.ssh_host
    endpoint = {"type": "Ingress", "ingress": {"path": f"/{shop.namespace}/web-01"}}
    shop.kube.apply(secret(shop.namespace, "web-02-ssh", ssh_privatekey=host.private_key))
    shop.kube.apply(remote_host(shop.namespace, "web-02", host.address, host.public_host_key, endpoint=endpoint))

    def conflict() -> bool:
        return condition(shop.host("web-02"), "Exposed").get("reason") == "EndpointConflict"

    wait_until(conflict, what="EndpointConflict")
    response = initialize(shop.url(), None)
    assert response.headers["fairlead-instance"] == shop.host()["metadata"]["uid"]


async def test_paths_and_commands_outside_the_policy_are_tool_errors(shop: Shop) -> None:
    policy = {"commands": {"deny": [r"\bmkfs(\.|\b)"]}, "paths": {"read": ["/srv", "/etc/ssh"], "write": ["/tmp"]}}
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"policy": policy}})
    shop.wait_ready()
    url, token = shop.url(), shop.token()
    denied = await call(url, token, "execute_command", command="mkfs.ext4 /dev/null")
    assert (denied["is_error"], denied["code"]) == (True, "policy_denied")
    shop.ssh_host.run("sh", "-c", "mkdir -p /srv && ln -sfn /etc /srv/escape")
    for path in ("/etc/passwd", "/srv/../etc/passwd", "/srv/escape/passwd", "/srvx"):
        denied = await call(url, token, "read_file", path=path)
        assert (denied["is_error"], denied["code"]) == (True, "policy_denied"), path
    denied = await call(url, token, "write_file", path="/srv/escape/motd", content="x")
    assert (denied["is_error"], denied["code"]) == (True, "policy_denied")


async def test_invalid_utf8_in_the_output_is_marked(shop: Shop) -> None:
    result = await call(shop.url(), shop.token(), "execute_command", command=r"printf 'a\377b\000c'")
    assert not result["is_error"]
    assert result["stdout_encoding"] == "base64"
    assert result["stdout_bytes"] == 5
