"""Where commands start and what they find, secret variables among it."""

from typing import Any

from tests.e2e.support.agent import try_call
from tests.e2e.support.hosts import Shop
from tests.e2e.support.kube import wait_condition
from tests.e2e.support.objects import secret
from tests.e2e.support.waiting import wait_until

REFERENCE = {"secretKeyRef": {"name": "app", "key": "token"}}


def configure(shop: Shop, *variables: dict[str, Any]) -> None:
    environment = {"workingDirectory": "/srv", "variables": list(variables)}
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"environment": environment}})


def output(shop: Shop, command: str) -> str:
    result = try_call(shop.url(), shop.token(), "execute_command", command=command)
    return str(result.get("stdout", result))


def test_commands_start_where_the_host_says_and_find_its_variables(shop: Shop) -> None:
    configure(shop, {"name": "GREETING", "value": "a hoy; 'x' $HOME"}, {"name": "LC_NONE", "value": ""})
    expected = "/srv\na hoy; 'x' $HOME\nset\n"
    command = 'pwd; echo "$GREETING"; echo "${LC_NONE-un}set"'
    wait_until(lambda: output(shop, command) == expected, what="the commands find it all")


def test_a_secret_variable_is_found_follows_its_secret_and_shows_in_no_list_of_processes(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "app", token="first-value", other="never-mounted"))
    configure(shop, {"name": "TOKEN", "valueFrom": REFERENCE})
    wait_until(lambda: output(shop, "echo $TOKEN") == "first-value\n", what="the value is found")
    pod = shop.only_pod()
    shop.wait_ready()
    assert output(shop, "echo $TOKEN") == "first-value\n"
    assert "first-value" not in output(shop, "ps -eo args")
    mounted = shop.kube.run("get", "pod", pod["metadata"]["name"], "-n", shop.namespace, "-o", "yaml")
    assert "key: token" in mounted
    assert "key: other" not in mounted
    shop.kube.apply(secret(shop.namespace, "app", token="second-value"))
    wait_until(lambda: output(shop, "echo $TOKEN") == "second-value\n", what="the new value is found")
    assert [found["metadata"]["uid"] for found in shop.pods()] == [pod["metadata"]["uid"]]
    logs = shop.kube.run("logs", "-n", shop.namespace, "deploy/rh-web-01")
    assert "-value" not in logs


def test_a_missing_secret_and_a_missing_key_are_named_and_the_host_is_ready_once_they_are_there(shop: Shop) -> None:
    def wait_credentials(status: str, reason: str) -> str:
        found = wait_condition(shop.kube, "rh", "web-01", shop.namespace, "CredentialsReady", status, reason=reason)
        return str(found["message"])

    configure(shop, {"name": "TOKEN", "valueFrom": REFERENCE})
    assert "'app'" in wait_credentials("False", "SecretNotFound")
    shop.kube.apply(secret(shop.namespace, "app", other="x"))
    wait_until(lambda: "app/token" in wait_credentials("False", "SecretNotFound"), what="the key is named")
    shop.wait_not_ready("SecretNotFound")
    shop.kube.apply(secret(shop.namespace, "app", token="here"))
    wait_credentials("True", "CredentialsFound")
    shop.wait_ready()
    wait_until(lambda: output(shop, "echo $TOKEN") == "here\n", what="the value is found")
