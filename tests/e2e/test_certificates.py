"""Short-lived certificates: a host that trusts nothing but the authority, its revocation list, its renewal."""

import json
import re
from typing import Any

from tests.e2e.support.agent import call
from tests.e2e.support.certificates import (
    REVOKED,
    authority,
    authority_status,
    certificate,
    certified,
    revocation_list,
    serials,
    shown,
    trust_only_authorities,
    trusted_keys,
    write,
)
from tests.e2e.support.hosts import Shop, SshHost
from tests.e2e.support.kube import condition, wait_condition
from tests.e2e.support.objects import mcp_token
from tests.e2e.support.waiting import wait_until


def pods(shop: Shop, name: str) -> list[str]:
    """UIDs of the host's pods."""
    return [pod["metadata"]["uid"] for pod in shop.pods(name)]


async def test_a_host_that_trusts_only_the_authority_lets_the_sidecar_in_and_calls_carry_the_serial(
    shop: Shop, own_ssh_host: SshHost
) -> None:
    shop.kube.apply(certified(shop, "web-02", own_ssh_host), mcp_token(shop.namespace, "second", ["web-02"]))
    found = wait_condition(
        shop.kube, "rh", "web-02", shop.namespace, "CredentialsReady", "False", reason="AuthorityNotFound"
    )
    assert "'fleet'" in found["message"]
    shop.kube.apply(authority(shop.namespace))
    trust_only_authorities(own_ssh_host, trusted_keys(shop))
    shop.wait_ready("web-02")
    assert condition(shop.host("web-02"), "CredentialsReady")["reason"] == "CertificateIssued"

    text = certificate(shop, "web-02")
    said = shown(own_ssh_host, text)
    (uid,) = pods(shop, "web-02")
    assert f'Key ID: "{shop.namespace}/web-02/{uid}"' in said
    assert re.search(r"Principals:\s+deploy\s+Critical Options: \(none\)\s+Extensions: \(none\)", said), said
    (serial,) = serials(shop, "web-02")
    assert f"Serial: {serial}\n" in said

    shop.wait_token_ready("second")
    shop.wait_routed("web-02")
    result = await call(shop.url("web-02"), shop.token("second"), "execute_command", command="id -un")
    assert result["stdout"] == "deploy\n"

    def records() -> list[dict[str, Any]]:
        log = shop.kube.run("logs", "-n", shop.namespace, "deployment/rh-web-02")
        return [json.loads(line) for line in log.splitlines() if '"log":"audit"' in line and '"id -un"' in line]

    told = wait_until(records, what="the call is in the log")
    assert [record["certificate_serial"] for record in told] == [serial]
    wait_until(lambda: f"serial {serial}" in own_ssh_host.log(), what="the login is in the host's log")


def test_new_credentials_revoke_the_former_and_the_host_refuses_those_by_the_list(
    shop: Shop, own_ssh_host: SshHost
) -> None:
    shop.kube.apply(authority(shop.namespace))
    keys = trusted_keys(shop)
    wait_until(lambda: authority_status(shop).get("keyRevocationList"), what="a list is published")
    write(own_ssh_host, REVOKED, revocation_list(shop))
    trust_only_authorities(own_ssh_host, keys, f"RevokedKeys {REVOKED}")
    shop.kube.apply(certified(shop, "web-02", own_ssh_host))
    shop.wait_ready("web-02")
    (first,), former = serials(shop, "web-02"), certificate(shop, "web-02")
    before = pods(shop, "web-02")

    shop.kube.run("annotate", "rh", "web-02", "-n", shop.namespace, "fairlead.dev/rotate=monday")
    wait_until(lambda: authority_status(shop).get("revokedSerials") == [first], what="the first one is revoked")
    write(own_ssh_host, REVOKED, revocation_list(shop))
    # Whoever is connected has to log in again, which the list allows with the new certificate only.
    own_ssh_host.run("sh", "-c", "pkill -f '^sshd-session|^sshd: deploy' || true")
    (second,) = wait_until(lambda: serials(shop, "web-02") - {first}, what="another certificate is in force")
    wait_until(lambda: f"serial {second}" in own_ssh_host.log(), what="the new certificate logs in")
    shop.wait_ready("web-02")
    assert pods(shop, "web-02") == before

    for text, revoked in ((former, True), (certificate(shop, "web-02"), False)):
        write(own_ssh_host, "/tmp/asked-cert.pub", text.encode() + b"\n")
        asked = own_ssh_host.run("ssh-keygen", "-Q", "-f", REVOKED, "/tmp/asked-cert.pub", check=False)
        assert ("REVOKED" in asked) == revoked, asked


def test_a_new_pod_gets_a_certificate_of_its_own(shop: Shop, own_ssh_host: SshHost) -> None:
    shop.kube.apply(authority(shop.namespace))
    trust_only_authorities(own_ssh_host, trusted_keys(shop))
    shop.kube.apply(certified(shop, "web-02", own_ssh_host))
    shop.wait_ready("web-02")
    (former,) = pods(shop, "web-02")
    shop.kube.run("delete", "pod", "-n", shop.namespace, "-l", "fairlead.dev/host=web-02", "--wait=false")

    def new_pods() -> list[str]:
        return [uid for uid in pods(shop, "web-02") if uid != former]

    (uid,) = wait_until(new_pods, what="another pod")
    wait_until(
        lambda: f"/{uid}" in shown(own_ssh_host, certificate(shop, "web-02")),
        what="a certificate that is made out to it",
    )
    wait_until(
        lambda: f"{shop.namespace}/web-02/{uid}" in own_ssh_host.log(),
        what="the new pod logs in with it",
    )
    shop.wait_ready("web-02")


def test_a_host_behind_a_bastion_with_certificates_passes_it_and_gets_its_renewals(
    shop: Shop, own_ssh_host: SshHost
) -> None:
    shop.kube.apply(authority(shop.namespace))
    trust_only_authorities(own_ssh_host, trusted_keys(shop))
    bastion = certified(shop, "bastion", own_ssh_host)
    bastion["spec"]["suspended"] = True
    shop.kube.apply(bastion)
    shop.kube.patch("rh", "web-01", shop.namespace, {"spec": {"jumpHosts": [{"hostRef": {"name": "bastion"}}]}})
    (first,) = wait_until(lambda: serials(shop, "bastion"), what="the bastion has a certificate")
    wait_until(lambda: f"serial {first}" in own_ssh_host.log(), what="web-01 comes through the bastion")
    shop.wait_ready()
    said = shown(own_ssh_host, certificate(shop, "bastion"))
    assert re.search(r"Extensions:\s+permit-port-forwarding\n", said), said
    before = [shop.only_pod()["metadata"]["uid"]]
    shop.kube.run("annotate", "rh", "bastion", "-n", shop.namespace, "fairlead.dev/rotate=monday")
    (second,) = wait_until(lambda: serials(shop, "bastion") - {first}, what="a new certificate")
    wait_until(lambda: f"serial {second}" in own_ssh_host.log(), what="web-01 logs in with it")
    shop.wait_ready()
    assert pods(shop, "web-01") == before
