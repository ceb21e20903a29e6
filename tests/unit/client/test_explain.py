from datetime import UTC, datetime
from pathlib import Path

import pytest

from fairlead_client.destination import Destination
from fairlead_client.serve.explain import explain
from fairlead_client.serve.options import ServeOptions
from fairlead_sidecar.config import Target
from fairlead_sidecar.statusz import LinkState, LinkStatus

CHANGED = LinkStatus(
    state=LinkState.FAILED, reason="HostKeyMismatch", message="another key", since=datetime(2026, 1, 1, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("known_hosts", "command"),
    [
        (None, "(ssh-keygen -R '[192.0.2.7]:2222')"),
        (Path("my hosts"), "(ssh-keygen -R '[192.0.2.7]:2222' -f 'my hosts')"),
    ],
)
def test_an_old_host_key_is_removed_from_the_file_that_was_read(known_hosts: Path | None, command: str) -> None:
    options = ServeOptions(Destination("192.0.2.7", username="deploy", port=2222), known_hosts=known_hosts)
    target = Target(address="192.0.2.7", port=2222, username="deploy")

    assert command in explain(CHANGED, options, target)
