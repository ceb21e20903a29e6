"""Issuing against an API server that is a dictionary."""

import asyncio
import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from fairlead_api.auth import KeyAlgorithm
from fairlead_api.conditions import HostReason
from fairlead_operator.cluster.applier import Applier
from fairlead_operator.cluster.errors import ApiError, Unavailable
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.cluster.resources import CONFIG_MAPS, Resource, resource_of
from fairlead_operator.controllers import issuing
from fairlead_operator.controllers.authority_keys import AuthorityKeySecrets
from fairlead_operator.controllers.issued import IssuedCertificates
from fairlead_operator.controllers.issuing import Authorities, AuthorityUnavailable, Brought, Issued
from fairlead_operator.controllers.ledgers import Ledgers
from fairlead_operator.controllers.store import Store
from fairlead_operator.credentials.certificates import CertificateRequest, facts
from fairlead_operator.credentials.keys import generate_key_pair
from fairlead_operator.reconcile.issued import HostCertificates, IssuedCertificate
from fairlead_operator.reconcile.ledger import Ledger
from fairlead_operator.reconcile.metadata import Meta
from fairlead_operator.reconcile.objects import Host, Key, read_authority, read_host
from tests.unit.operator.states import SETTINGS, body

FLEET = Key("shop", "fleet")
REQUEST = CertificateRequest(
    generate_key_pair(KeyAlgorithm.ED25519, "").public, "shop/web-01/pod", ("deploy",), timedelta(hours=1)
)


class Server(Objects):
    """An API server that keeps what it is given."""

    def __init__(self) -> None:
        self.kept: dict[tuple[Resource, str, str], dict[str, Any]] = {}
        self.refusal: ApiError | None = None
        self._version = 0

    async def get(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        await asyncio.sleep(0)
        return self.kept.get((resource, namespace, name))

    async def get_metadata(self, resource: Resource, namespace: str, name: str) -> dict[str, Any] | None:
        return await self.get(resource, namespace, name)

    async def apply(self, manifest: dict[str, Any], uid: str | None) -> dict[str, Any]:
        return await self.create(manifest)

    async def create(self, manifest: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self._version += 1
        kept = {**manifest, "metadata": {**manifest["metadata"], "uid": "u", "resourceVersion": str(self._version)}}
        self.kept[resource_of(manifest), manifest["metadata"]["namespace"], manifest["metadata"]["name"]] = kept
        return kept


class Nothing:
    """A cache that has seen nothing yet."""

    def get(self, namespace: str, name: str) -> Meta | None:
        return None


class Shop:
    """A namespace with an authority."""

    def __init__(self) -> None:
        self.server = Server()
        self.restart()

    def restart(self) -> None:
        """Forget all that is not in the cluster."""
        self.store = Store(SETTINGS)
        metadata = {"name": "fleet", "namespace": "shop", "uid": "uid-fleet", "resourceVersion": "1"}
        self.authority = read_authority({"metadata": metadata, "spec": {"type": "Generated"}})
        self.store.put_authority(self.authority)
        self.register = IssuedCertificates(lambda key: None)
        applier = Applier(self.server, {CONFIG_MAPS: Nothing()})  # type: ignore[dict-item]  # all that is asked of it
        keys = AuthorityKeySecrets(self.server, Nothing())
        ledgers = Ledgers(self.server, applier)
        self.authorities = Authorities(self.store, keys=keys, ledgers=ledgers, register=self.register)

    def host(self, name: str = "web-01", **metadata: str) -> Host:
        some = body(name=name, auth={"type": "Certificate", "certificate": {"authorityRef": {"name": "fleet"}}})
        host = read_host({**some, "metadata": some["metadata"] | metadata})
        self.store.put_host(host)
        return host

    def suspend(self, host: Host, version: str) -> None:
        """The next version of a host."""
        metadata = host.metadata.model_copy(update={"resource_version": version})
        assert host.spec is not None
        self.store.put_host(replace(host, metadata=metadata, spec=host.spec.model_copy(update={"suspended": True})))

    async def issue(self, host: Host) -> Issued:
        signers = await self.authorities.signers(FLEET)
        return await self.authorities.issue(FLEET, signers.active, host, REQUEST)

    def deliver(self, host: Host, *issued: Issued) -> None:
        """What the hosts' controller does once the Secret is written."""
        held = tuple(IssuedCertificate(some.serial, some.expires, some.authority) for some in issued)
        self.register.put(host.key, HostCertificates(host.uid, "fleet", held))

    async def bring(self) -> Brought:
        assert self.authority.spec is not None
        return await self.authorities.bring(self.authority, self.authority.spec)

    def record(self) -> Ledger:
        """What is in the cluster."""
        found = self.server.kept[CONFIG_MAPS, "shop", "sshca-fleet-krl"]
        assert base64.b64decode(found["binaryData"]["krl"]).startswith(b"SSHKRL")
        return Ledger.parse(found["data"]["certificates.json"])


@pytest.fixture
def shop() -> Shop:
    return Shop()


async def test_a_certificate_is_on_record_before_anybody_gets_it(shop: Shop) -> None:
    issued = await shop.issue(shop.host())
    assert facts(issued.certificate).serial == issued.serial
    assert facts(issued.certificate).valid_before == issued.expires
    assert shop.record().entries[issued.serial].host == "web-01"


async def test_no_certificate_is_given_out_that_could_not_be_put_on_record(shop: Shop) -> None:
    host = shop.host()
    await shop.issue(host)
    shop.server.refusal = Unavailable(0, "Unavailable", "no answer")
    with pytest.raises(Unavailable):
        await shop.issue(host)
    shop.server.refusal = None
    assert len(shop.record().entries) == 1


async def test_a_record_that_is_full_takes_no_certificate_and_every_revocation(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(issuing, "MOST_BYTES", 4000)
    host, issued = shop.host(), list[Issued]()

    async def issue_for_ever() -> None:
        while True:
            issued.append(await shop.issue(host))

    with pytest.raises(AuthorityUnavailable) as full:
        await issue_for_ever()
    assert full.value.reason is HostReason.AUTHORITY_NOT_READY
    assert "is full" in full.value.message
    assert len(issued) > 10
    assert set(shop.record().entries) == {some.serial for some in issued}
    shop.store.remove_host(host.key)
    assert (await shop.bring()).revoked == {some.serial for some in issued}
    found = shop.server.kept[CONFIG_MAPS, "shop", "sshca-fleet-krl"]
    size = len(found["data"]["certificates.json"]) + len(base64.b64decode(found["binaryData"]["krl"]))
    # Besides what each takes, the list names the key that signed.
    assert 3700 < size < 4100


async def test_certificates_made_at_once_have_serials_of_their_own(shop: Shop) -> None:
    hosts = [shop.host(f"web-{number}") for number in range(20)]
    made = await asyncio.gather(*map(shop.issue, hosts))
    assert {some.serial for some in made} == set(shop.record().entries)
    assert len(shop.record().entries) == 20


async def test_a_certificate_on_its_way_is_in_force_and_one_that_never_arrives_is_revoked(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = shop.host()
    shop.deliver(host)
    issued = await shop.issue(host)
    brought = await shop.bring()
    assert not brought.revoked
    assert brought.undelivered
    monkeypatch.setattr(issuing, "DELIVERY", -1.0)
    never = await shop.issue(host)
    assert (await shop.bring()).revoked == {never.serial}
    shop.deliver(host, issued)
    assert not (await shop.bring()).undelivered


async def test_after_a_restart_nothing_is_revoked_of_a_host_that_nobody_has_looked_at(shop: Shop) -> None:
    host, other = shop.host(), shop.host("web-02")
    one, two = await shop.issue(host), await shop.issue(other)
    shop.restart()
    shop.host()
    shop.host("web-02")
    assert not (await shop.bring()).revoked
    # The other's Secret was deleted meanwhile; that the first can't be read delays nothing.
    shop.deliver(other)
    assert (await shop.bring()).revoked == {two.serial}
    shop.deliver(host, one)
    assert (await shop.bring()).revoked == {two.serial}


async def test_the_certificates_of_a_host_that_is_gone_or_another_by_now_are_revoked(shop: Shop) -> None:
    host, other = shop.host(), shop.host("web-02")
    one, two = await shop.issue(host), await shop.issue(other)
    shop.deliver(host, one)
    shop.deliver(other, two)
    assert not (await shop.bring()).revoked
    shop.store.remove_host(host.key)
    shop.register.remove(host.key)
    assert (await shop.bring()).revoked == {one.serial}
    # Created anew before anybody looked: it has nothing of the former one.
    shop.store.remove_host(other.key)
    shop.host("web-02", uid="another")
    assert (await shop.bring()).revoked == {one.serial, two.serial}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda shop: shop.store.remove_authority(FLEET), HostReason.AUTHORITY_NOT_FOUND),
        (
            lambda shop: shop.store.put_authority(
                read_authority(
                    {
                        "metadata": {"name": "fleet", "namespace": "shop", "uid": "u", "resourceVersion": "2"},
                        "spec": {"type": "Secret", "secret": {"name": "nowhere"}},
                    }
                )
            ),
            HostReason.AUTHORITY_NOT_READY,
        ),
    ],
)
async def test_a_host_is_told_why_it_gets_no_certificate(
    shop: Shop, change: Callable[[Shop], object], reason: HostReason
) -> None:
    host = shop.host()
    change(shop)
    with pytest.raises(AuthorityUnavailable, match="fleet") as told:
        await shop.authorities.signers(FLEET)
    assert told.value.reason is reason
    with pytest.raises(AuthorityUnavailable, match="fleet"):
        await shop.authorities.issue(FLEET, "SHA256:x", host, REQUEST)


async def test_a_key_that_is_gone_signs_nothing(shop: Shop) -> None:
    with pytest.raises(AuthorityUnavailable, match="replaced"):
        await shop.authorities.issue(FLEET, "SHA256:former", shop.host(), REQUEST)


async def test_a_suspended_host_loses_its_certificates_whatever_else_is_wrong_with_it(shop: Shop) -> None:
    host = shop.host()
    issued = await shop.issue(host)
    # Nobody could empty its Secret yet.
    shop.deliver(host, issued)
    shop.suspend(host, "2")
    assert (await shop.bring()).revoked == {issued.serial}


async def test_a_suspended_jump_host_keeps_its_certificates_while_somebody_passes_through_it(shop: Shop) -> None:
    host = shop.host()
    issued = await shop.issue(host)
    shop.deliver(host, issued)
    shop.suspend(host, "2")
    behind = body(name="db-01", jumpHosts=[{"hostRef": {"name": "web-01"}}])
    shop.store.put_host(read_host(behind))
    assert not (await shop.bring()).revoked
    shop.suspend(read_host(behind), "2")
    assert (await shop.bring()).revoked == {issued.serial}
