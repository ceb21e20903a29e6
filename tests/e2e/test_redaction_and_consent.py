"""What agents never get to see, and what they may not do without a person."""

from typing import Any

from tests.e2e.support.agent import try_call
from tests.e2e.support.hosts import Shop
from tests.e2e.support.objects import secret
from tests.e2e.support.waiting import wait_until

VALUE = "s3cret-of-the-shop"


def run(shop: Shop, command: str) -> dict[str, Any]:
    return try_call(shop.url(), shop.token(), "execute_command", command=command)


def set_policy(shop: Shop, **policy: Any) -> None:
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"policy": policy}})


def test_values_of_secrets_are_blotted_out_of_output_and_files(shop: Shop) -> None:
    shop.kube.apply(secret(shop.namespace, "app", token=VALUE))
    shop.ssh_host.run("sh", "-c", f"echo before {VALUE} after > /tmp/with-value")
    assert VALUE in run(shop, "cat /tmp/with-value")["stdout"]
    set_policy(shop, redact=[{"secretKeyRef": {"name": "app", "key": "token"}}])

    def blotted_out() -> bool:
        result = run(shop, "cat /tmp/with-value")
        return "stdout" in result and VALUE not in str(result)

    wait_until(blotted_out, what="the value is blotted out")
    # A value that was not mounted before takes a new pod: the old one, which does not have it, answers a bit longer.
    shop.only_pod()
    shown = run(shop, "cat /tmp/with-value; cat /tmp/with-value >&2")
    assert shown["stdout"].startswith("before ")
    assert VALUE not in str(shown)
    read = try_call(shop.url(), shop.token(), "read_file", path="/tmp/with-value")
    assert not read["is_error"]
    assert VALUE not in str(read)


def test_a_client_that_cannot_ask_its_user_is_refused_what_needs_consent(shop: Shop) -> None:
    set_policy(shop, confirm=[{"pattern": r"\bdangerous\b"}])
    wait_until(
        lambda: run(shop, "echo dangerous").get("code") == "confirmation_refused",
        what="consent is needed",
    )
    assert run(shop, "echo harmless")["stdout"] == "harmless\n"
