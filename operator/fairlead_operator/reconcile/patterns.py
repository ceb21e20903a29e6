"""Whether a policy's patterns can be used, before any sidecar is told of them.

Admission compiles them too, but with Go's regexp, which takes some that RE2 refuses as too large.
"""

import re2

from fairlead_api.remotehost import RemoteHostSpec

_SHOWN = 80


def unusable_pattern(spec: RemoteHostSpec) -> str:
    """Which pattern can't be used, in a sentence; empty: all can.

    Large ones take tenths of a second each: run it in a thread.
    """
    if spec.policy is None:
        return ""
    options = re2.Options()
    options.log_errors = False
    for place, pattern in spec.policy.patterns():
        try:
            re2.compile(pattern, options)
        except re2.error as error:
            detail = error.args[0] if error.args else error
            reason = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
            shown = pattern if len(pattern) <= _SHOWN else pattern[:_SHOWN] + "..."
            return (
                f"spec.policy.{place}, the pattern {shown!r}, can't be used ({reason}): make it simpler. Until then"
                " the former configuration holds, except for tokens."
            )
        finally:
            # It keeps compiled patterns, megabytes each if somebody wants that.
            re2.purge()
    return ""
