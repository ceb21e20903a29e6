"""Which step the generated keys of an authority take next: made once, replaced on request, with both in use between."""

from dataclasses import dataclass
from enum import Enum

from fairlead_operator.reconcile.key_rotation import ROTATE_ANNOTATION
from fairlead_operator.reconcile.objects import Authority

COMPLETE_ANNOTATION = "fairlead.dev/complete-rotation"
"""On an SSHCertificateAuthority: another value ends a rotation, although not every host has accepted the next key."""


@dataclass(frozen=True)
class Requests:
    """The values of the annotations by which a person asks for something; empty: there is none."""

    rotate: str = ""
    complete: str = ""

    @classmethod
    def of(cls, authority: Authority) -> "Requests":
        """What is asked for at present."""
        annotations = authority.metadata.annotations
        return cls(annotations.get(ROTATE_ANNOTATION, ""), annotations.get(COMPLETE_ANNOTATION, ""))


class Step(Enum):
    """What is to be done with the keys."""

    KEEP = "keep"
    ADD_NEXT = "add next"
    """Make a second key beside the first."""
    PROMOTE = "promote"
    """The second key becomes the first, which goes."""


def next_step(*, rotating: bool, requests: Requests, met: Requests, accepted: bool) -> Step:
    """The step that is due.

    A request that comes while a rotation is under way is for that one; one to complete that was there before a
    rotation began is for none.

    Args:
        rotating: Whether there is a second key.
        requests: What is asked for.
        met: What was asked for when the last step was taken.
        accepted: Whether every host has accepted the second key.
    """
    if rotating:
        told = requests.complete not in ("", met.complete)
        return Step.PROMOTE if accepted or told else Step.KEEP
    return Step.ADD_NEXT if requests.rotate not in ("", met.rotate) else Step.KEEP
