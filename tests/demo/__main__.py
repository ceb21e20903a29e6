"""`python -m tests.demo`: on a cluster where one is possible, else with `fairlead serve`."""

import os
import sys
import time

from tests.cluster import choose
from tests.cluster.console import ClusterError, say
from tests.cluster.state import State
from tests.demo import in_cluster, without_cluster


def main() -> int:
    """Run the demo and give the exit code."""
    start = time.monotonic()
    try:
        obstacle = _obstacle()
        if obstacle is None:
            in_cluster.run()
        else:
            say(f"{obstacle}\nSo this shows `fairlead serve`: the same thing for one host, without a cluster.\n")
            without_cluster.run()
    except (ClusterError, AssertionError) as error:
        say(f"error: {error}")
        return 1
    say(f"\nThe demo took {time.monotonic() - start:.1f} s.")
    return 0


def _obstacle() -> str | None:
    """Why no cluster is possible here; None where one is, or is up already."""
    wanted = os.environ.get("CLUSTER", "")
    try:
        if wanted:
            choose.choose(wanted)
            return None
        State.of_checkout().describe()
    except ClusterError:
        try:
            choose.choose(wanted)
        except ClusterError as error:
            return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main())
