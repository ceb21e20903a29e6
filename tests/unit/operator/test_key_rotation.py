"""Which step a generated key takes next."""

import pytest

from fairlead_operator.reconcile.key_rotation import KeyState, KeyStep, next_step

SETTLED = KeyState(public="ssh-ed25519 A", request="monday")
ROTATING = KeyState(public="ssh-ed25519 A", next_public="ssh-ed25519 B", next_fingerprint="SHA256:B", request="monday")


@pytest.mark.parametrize(
    ("state", "request_", "accepted", "step"),
    [
        (KeyState(), "", None, KeyStep.MAKE),
        (KeyState(), "monday", "SHA256:B", KeyStep.MAKE),
        (SETTLED, "", None, KeyStep.KEEP),
        (SETTLED, "monday", "SHA256:A", KeyStep.KEEP),
        (SETTLED, "tuesday", "SHA256:A", KeyStep.ADD_NEXT),
        (ROTATING, "monday", None, KeyStep.KEEP),
        (ROTATING, "monday", "SHA256:A", KeyStep.KEEP),
        (ROTATING, "", "SHA256:A", KeyStep.KEEP),
        (ROTATING, "monday", "SHA256:B", KeyStep.PROMOTE),
        (ROTATING, "tuesday", "SHA256:A", KeyStep.ADD_NEXT),
        (ROTATING, "tuesday", "SHA256:B", KeyStep.PROMOTE),
    ],
)
def test_a_key_is_replaced_on_request_and_only_once_its_successor_was_accepted(
    state: KeyState, request_: str, accepted: str | None, step: KeyStep
) -> None:
    assert next_step(state, request_, accepted) is step
