"""The marker: an environment variable by which every process of a command can be found on the host.

Its value is `<instance>.<sidecar>.<call>.<pid>.<parent>`: whose command it is (RemoteHost and sidecar process), which
one, and the process numbers of the shell that became the command and of the sshd process that started it. Processes
that leave the command's process group keep it, also below sudo.
"""

import hashlib
import secrets
from dataclasses import dataclass

MARKER = "FAIRLEAD_CALL_ID"
SIDECAR = secrets.token_hex(4)
"""This process, among all that ever served the same instance."""


def instance_of(instance: str) -> str:
    """What stands for an instance in markers: hex digits, whatever its UID looks like."""
    return hashlib.sha256(instance.encode()).hexdigest()[:12]


def new_call_id(instance: str) -> str:
    """The part of a marker that is known before the shell has started; `instance` as `instance_of` gives it."""
    return f"{instance}.{SIDECAR}.{secrets.token_hex(12)}"


@dataclass(frozen=True, slots=True)
class RemoteProcess:
    """The process group of one command, recognisable across connections."""

    group: int | None
    """Process group id, which is also the id of its first process; None where the shell did not report it."""
    call_id: str
    """Beginning of the marker's value in the environment of all its processes."""
    boot_id: str = ""
    """Empty where the host has no /proc."""
    start_time: str = ""
    """Clock ticks from boot to the start of the first process (proc(5), field 22); empty where unknown."""
