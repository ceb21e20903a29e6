"""Ends what a sidecar that died left running.

A sidecar that is killed can't kill its commands, and the next one does not know them. But their processes carry a
marker with the instance, the sidecar process and the numbers of the shell that became the command and of the sshd
process that started it. So after connecting, a sidecar looks for commands of its own instance from another sidecar
process, and ends those whose sshd process is not their parent any more: their connection is gone, nobody follows them.

Left alone: commands of a pod that still drains during a roll-out (its connection lives, so its sshd does too), and
what a command that has ended left in the background on purpose (the shell that became it is gone).
"""

import re
from dataclasses import dataclass

from fairlead_sidecar.ssh.marker import MARKER, RemoteProcess

AGAIN_SECONDS = 60.0
"""After which it is looked once more: a server may take its time to notice a client that died."""

# A command below sudo can't be looked into, but sudo's own command line holds the marker. `name` is what follows the
# marker's beginning: call, process and parent.
_SCRIPT = (
    "m={marker}={instance}.; "
    'grep -lsaF -e "$m" /proc/[0-9]*/environ /proc/[0-9]*/cmdline | while IFS= read -r f; do '
    "p=${{f#/proc/}}; p=${{p%%/*}}; "
    "name=$(tr '\\0' '\\n' <\"$f\" 2>/dev/null | grep -aoE -m 1 -e \"{pattern}\" | head -n 1); "
    '[ -n "$name" ] || continue; rest=${{name#*=*.*.*.}}; [ "${{rest%.*}}" = "$p" ] || continue; '
    "IFS= read -r s 2>/dev/null </proc/$p/stat || continue; set -- ${{s##*)}}; "
    '[ "$2" != "${{rest#*.}}" ] || continue; '
    "user=$(tr '\\0' '\\n' </proc/$p/cmdline 2>/dev/null | grep -A 1 -x -e -u | tail -n 1); "
    'case $f in */cmdline) ;; *) user=;; esac; echo "found $name $user"; done'
)


MOST = 100
"""How many are ended at a time; a host could name any number."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """A command that nobody follows."""

    process: RemoteProcess
    user: str | None
    """Whom it runs as below sudo."""


def sweep_script(instance: str) -> str:
    """The POSIX shell script that finds them; `instance` as in markers."""
    pattern = rf"{MARKER}={instance}\.[0-9a-f]+\.[0-9a-f]+\.[0-9]+\.[0-9]+"
    return _SCRIPT.format(marker=MARKER, instance=instance, pattern=pattern)


def leftovers(output: bytes, instance: str, sidecar: str) -> list[Leftover]:
    """What the script found, without this sidecar's own."""
    found: dict[str, Leftover] = {}
    line = re.compile(rf"found {MARKER}=({instance}\.([0-9a-f]+)\.[0-9a-f]+)\.(\d{{1,10}})\.\d+ ?([A-Za-z0-9_.$-]*)")
    for text in output.decode(errors="replace").splitlines():
        match = line.fullmatch(text)
        if match and match[2] != sidecar:
            found[match[1]] = Leftover(RemoteProcess(int(match[3]), match[1]), match[4] or None)
    return list(found.values())[:MOST]
