"""Ends all processes of a command on the host, through another channel than its own.

Closing a channel ends nothing there, and sshd ignores signal requests of root logins. So a small script runs on the
host: TERM to the process group and to whatever carries the command's marker (which setsid does not shake off), then
KILL to what is left after a second.
"""

from fairlead_sidecar.ssh.marker import MARKER, RemoteProcess

GRACE_SECONDS = 1.0
"""Between TERM and KILL."""
_GONE = "gone"
_LEFT = "left"

# `kill -s TERM -- -N` is the form that dash understands too. The group is signalled before /proc is searched, which
# may take longer. A process group id stays taken while the group has members, so on a live connection it can't be
# another's; after a reconnect it may be, so then boot id and start time must fit. Zombies don't count as alive: a
# container's first process may never collect them.
_SCRIPT = (
    "g={group}; m={marker}={call_id}.; {check}"
    'all() {{ grep -lsF -e "$m" /proc/[0-9]*/environ; }}; '
    'send() {{ [ -n "$g" ] && kill -s "$1" -- "-$g" 2>/dev/null; '
    'for f in $(all); do p=${{f#/proc/}}; kill -s "$1" "${{p%/environ}}" 2>/dev/null; done; }}; '
    'member() {{ [ -n "$g" ] || return 1; [ -e /proc/self/stat ] || {{ kill -s 0 -- "-$g"; return; }}; '
    'grep -qsE -e "\\) [^ZX] [0-9]+ $g " /proc/[0-9]*/stat; }}; '
    'alive() {{ member || [ -n "$(all)" ]; }}; '
    "send TERM; i=0; while alive && [ $i -lt {tenths} ]; do sleep 0.1; i=$((i+1)); done; "
    "i=0; while alive && [ $i -lt 20 ]; do send KILL; sleep 0.05; i=$((i+1)); done; "
    f"if alive; then echo {_LEFT}; else echo {_GONE}; fi"
)
_CHECK = (
    "IFS= read -r b </proc/sys/kernel/random/boot_id; IFS= read -r s </proc/$g/stat; "
    'set -- ${{s##*)}}; if [ "$b" != "{boot_id}" ] || [ "${{20}}" != "{start_time}" ]; then g=; fi; '
)


def kill_script(process: RemoteProcess, *, reconnected: bool) -> str:
    """The POSIX shell script that ends the process group.

    Args:
        process: What to end.
        reconnected: The connection that it was started on is gone, so its number may be another's by now.
    """
    check = ""
    if reconnected and process.group is not None:
        known = process.boot_id and process.start_time
        check = _CHECK.format(boot_id=process.boot_id, start_time=process.start_time) if known else "g=; "
    return _SCRIPT.format(
        group="" if process.group is None else process.group,
        marker=MARKER,
        call_id=process.call_id,
        check=check,
        tenths=int(GRACE_SECONDS * 10),
    )


def all_gone(output: bytes) -> bool:
    """Whether the script found nothing left at its end."""
    return output.strip().endswith(_GONE.encode())
