"""The controller of authorities: what it says when something is in the way, and whom it tells."""

from collections.abc import Iterable
from typing import Any

import pytest

from fairlead_operator.cluster.errors import ApiError, Forbidden, Invalid, Terminating, Unavailable
from fairlead_operator.cluster.objects import Objects
from fairlead_operator.controllers.authorities import AuthorityController
from fairlead_operator.reconcile.objects import Host
from fairlead_operator.reconcile.transitions import Announcement
from tests.unit.operator.test_issuing import FLEET, Shop


class Statuses(Objects):
    """Takes what is written of statuses."""

    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    async def apply_status(self, manifest: dict[str, Any]) -> dict[str, Any]:
        self.written.append(manifest["status"])
        metadata = manifest["metadata"] | {"resourceVersion": str(10 + len(self.written))}
        return {"metadata": metadata, "spec": {"type": "Generated"}, "status": manifest["status"]}


class Told:
    """Takes Events."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    async def announce(self, kind: str, about: object, announcement: Announcement) -> None:
        self.reasons.append(announcement.reason)


class Desk:
    """A controller, and what it does."""

    def __init__(self) -> None:
        self.shop = Shop()
        self.statuses, self.told = Statuses(), Told()
        self.hosts: list[str] = []
        self.controller = AuthorityController(
            self.shop.store,
            objects=self.statuses,
            events=self.told,  # type: ignore[arg-type]  # all that is asked of it
            authorities=self.shop.authorities,
            hosts_changed=self._hosts_changed,
        )

    def _hosts_changed(self, hosts: Iterable[Host]) -> None:
        self.hosts += [host.key.name for host in hosts]

    @property
    def ready(self) -> tuple[str, str]:
        """What was written last."""
        (condition,) = self.statuses.written[-1]["conditions"]
        return condition["status"], condition["reason"]


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_hosts_hear_of_an_authority_once_and_again_when_it_is_gone(desk: Desk) -> None:
    desk.shop.deliver(desk.shop.host())
    await desk.controller.reconcile(FLEET)
    await desk.controller.reconcile(FLEET)
    assert desk.ready == ("True", "Ready")
    assert desk.hosts == ["web-01"]
    assert len(desk.statuses.written) == 1
    desk.shop.store.remove_authority(FLEET)
    await desk.controller.reconcile(FLEET)
    assert desk.hosts == ["web-01", "web-01"]


@pytest.mark.parametrize(
    "refusal", [Forbidden(403, "Forbidden", "exceeded quota"), Invalid(422, "Invalid", "too large: 1048577 bytes")]
)
async def test_what_the_api_server_refuses_is_told_and_tried_again(desk: Desk, refusal: ApiError) -> None:
    desk.shop.server.refusal = refusal
    assert await desk.controller.reconcile(FLEET) == 30.0
    assert desk.ready == ("False", "ApplyFailed")
    assert refusal.message in desk.statuses.written[-1]["conditions"][0]["message"]
    desk.shop.server.refusal = None
    await desk.controller.reconcile(FLEET)
    assert desk.ready == ("True", "Ready")
    assert desk.told.reasons == ["ApplyFailed", "Ready"]


async def test_a_refusal_keeps_what_the_status_said_before(desk: Desk) -> None:
    host = desk.shop.host()
    desk.shop.deliver(host, await desk.shop.issue(host))
    await desk.controller.reconcile(FLEET)
    before = desk.statuses.written[-1]
    desk.shop.store.remove_host(host.key)
    desk.shop.server.refusal = Forbidden(403, "Forbidden", "no")
    await desk.controller.reconcile(FLEET)
    after = desk.statuses.written[-1]
    assert {**after, "conditions": None} == {**before, "conditions": None}


async def test_what_may_pass_by_itself_is_not_told(desk: Desk) -> None:
    desk.shop.server.refusal = Unavailable(0, "Unavailable", "no answer")
    with pytest.raises(Unavailable):
        await desk.controller.reconcile(FLEET)
    desk.shop.server.refusal = Terminating(403, "Forbidden", "the namespace goes")
    assert await desk.controller.reconcile(FLEET) is None
    assert not desk.statuses.written
