"""Which step a generated key takes next: made once, and replaced on request without a gap."""

from dataclasses import dataclass
from enum import Enum

from fairlead_operator.reconcile.objects import Host

ROTATE_ANNOTATION = "fairlead.dev/rotate"
"""On a RemoteHost: another value asks for new credentials."""
REQUEST = "rotation-request"
"""The key of a Secret of ours that holds the value of the annotation that was acted upon last."""


def requested(host: Host) -> str:
    """The annotation's value; empty: there is none, which asks for nothing."""
    return host.metadata.annotations.get(ROTATE_ANNOTATION, "")


@dataclass(frozen=True)
class KeyState:
    """What the Secret of a generated key holds, without its secrets."""

    public: str | None = None
    """The public half of the key as a line for authorized_keys; None: there is no usable key."""
    next_public: str | None = None
    """The public half of its successor; None: there is none."""
    next_fingerprint: str | None = None
    """`SHA256:…` of the successor."""
    request: str = ""
    """The value of the annotation that was acted upon last."""


class KeyStep(Enum):
    """What is to be done with the Secret."""

    KEEP = "keep"
    MAKE = "make"
    """There is no key: make one."""
    ADD_NEXT = "add next"
    """Make a successor beside the key; one that was never accepted gives way to it."""
    PROMOTE = "promote"
    """The host has accepted the successor: it becomes the key, and the former one goes."""


def next_step(state: KeyState, request: str, accepted: str | None) -> KeyStep:
    """The step that is due.

    Args:
        state: What there is.
        request: The annotation's value; empty: there is none, which asks for nothing.
        accepted: `SHA256:…` of the key that the host let in last; None: unknown, or none.
    """
    if state.public is None:
        return KeyStep.MAKE
    if accepted is not None and accepted == state.next_fingerprint:
        return KeyStep.PROMOTE
    if request not in ("", state.request):
        return KeyStep.ADD_NEXT
    return KeyStep.KEEP
