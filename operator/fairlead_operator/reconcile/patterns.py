"""Whether a policy's patterns can be used, before any sidecar is told of them.

Admission compiles them too, but with Go's regexp, which takes some that RE2 refuses as too large.
"""

import time

import re2

from fairlead_api.remotehost import RemoteHostSpec

_SHOWN = 80
MOST_SECONDS = 1.0
"""Of processor time for all patterns of a host. A thousand that people write take a tenth of it, a thousand that
somebody made to be slow several minutes, in which nobody else's tokens would be revoked."""


def unusable_pattern(spec: RemoteHostSpec) -> str:
    """Which pattern can't be used, in a sentence; empty: all can.

    Large ones take tenths of a second each: run it in a thread.
    """
    if spec.policy is None:
        return ""
    options = re2.Options()
    options.log_errors = False
    began = time.thread_time()
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
        if time.thread_time() - began > MOST_SECONDS:
            return (
                f"The patterns of spec.policy take too long to compile, those up to {place} more than"
                f" {MOST_SECONDS:g} s: make them fewer or simpler. Until then the former configuration holds, except"
                " for tokens."
            )
    return ""
