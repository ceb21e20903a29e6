"""What a session is told, when, and what never is."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from fairlead_sidecar.config import Permission, PinnedHostKeys, Policy, SecretFiles, SecretValue, SidecarConfig, Target
from fairlead_sidecar.protocol import outbox
from fairlead_sidecar.protocol.notices import link_notice
from fairlead_sidecar.protocol.outbox import Notice, Outbox
from fairlead_sidecar.reload import Active, activate
from fairlead_sidecar.statusz import LinkState, LinkStatus

VIEW = frozenset({Permission.VIEW})


class Clock:
    """Time that stands still until it is moved."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Outbox:
    return Outbox(clock)


def command(number: int) -> Notice:
    return Notice("info", {"number": number}, VIEW, "owner")


def link(state: str) -> Notice:
    return Notice("warning", {"state": state}, VIEW)


def taken(box: Outbox) -> list[object]:
    found: list[object] = []
    while box:
        notice, _ = box.take()
        found += notice.data.values()
    return found


def test_messages_go_at_once_until_there_are_many_and_then_one_after_the_other(box: Outbox, clock: Clock) -> None:
    assert [box.delay() for _ in range(outbox.BURST)] == [0] * outbox.BURST
    assert box.delay() == outbox.INTERVAL
    clock.now += outbox.INTERVAL
    assert box.delay() == outbox.INTERVAL
    clock.now += 2 * outbox.BURST * outbox.INTERVAL
    assert [box.delay() for _ in range(outbox.BURST)] == [0] * outbox.BURST
    assert box.delay() > 0


def test_the_oldest_go_where_too_many_wait_and_the_next_says_how_many(box: Outbox) -> None:
    for number in range(outbox.MOST_WAITING + 3):
        box.put(command(number))
    first, dropped = box.take()
    assert (first.data, dropped) == ({"number": 3}, 3)
    assert box.take()[1] == 0
    assert taken(box) == list(range(5, outbox.MOST_WAITING + 3))


def test_only_how_the_host_stands_now_waits(box: Outbox) -> None:
    for notice in (link("Failed"), command(1), link("Connected"), command(2), link("Failed again")):
        box.put(notice)
    assert taken(box) == [1, 2, "Failed again"]


def test_levels_are_ordered_as_the_protocol_orders_them() -> None:
    levels = ("debug", "info", "notice", "warning", "error", "critical", "alert", "emergency")
    reached = [level for level in levels if Notice("warning", {}, VIEW).reaches(level)]  # type: ignore[arg-type] # of Literal
    assert reached == ["debug", "info", "notice", "warning"]


def active(tmp_path: Path) -> Active:
    config = SidecarConfig(
        instance="2f9d1c1e-instance",
        namespace="shop",
        name="web-01",
        target=Target(address="127.0.0.1", port=22, username="deploy"),
        auth=SecretFiles(directory=tmp_path, secret_name="web-01-ssh"),
        host_key=PinnedHostKeys(public_keys=("ssh-ed25519 AAAA",)),
        policy=Policy(redact=(SecretValue(file=tmp_path / "value", name="web-01-values/value"),)),
    )
    return activate(config.render().encode())


def lost(message: str) -> LinkStatus:
    return LinkStatus(state=LinkState.FAILED, reason="Unreachable", message=message, since=datetime.now(UTC))


def test_values_that_the_policy_masks_are_masked(tmp_path: Path) -> None:
    (tmp_path / "value").write_text("s3cr3tValue")
    notice = link_notice(active(tmp_path), lost("No answer from s3cr3tValue."))
    assert "s3cr3tValue" not in repr(notice)
    assert notice.data["message"].startswith("No answer from ")


def test_without_what_masks_them_no_text_is_told(tmp_path: Path) -> None:
    notice = link_notice(active(tmp_path), lost("No answer from s3cr3tValue."))
    assert notice.data == {"event": "link", "host": "web-01", "state": "Failed", "reason": "Unreachable"}
    assert notice.needs == VIEW
