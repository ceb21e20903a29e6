"""What a model is told of a host before it uses any tool."""

from typing import Any

from fairlead_sidecar.config import Confirmation, Limits, Policy, ToolGroup
from fairlead_sidecar.protocol.instructions import instructions
from fairlead_sidecar.reload import activate
from tests.unit.sidecar.test_schema import CONFIG


def told(**changes: Any) -> str:
    """The instructions of a host that differs so from the plainest one."""
    return instructions(activate(CONFIG.model_copy(update=changes).render().encode()))


def test_the_host_and_its_owners_words_are_there() -> None:
    text = told(description="Front web server; ask ops before restarts.")
    assert "`web-01` (deploy@web-01.internal:22)" in text
    assert "Front web server; ask ops before restarts." in text


def test_the_limits_of_commands_are_there_where_there_are_commands() -> None:
    limits = Limits(command_timeout=90, output_bytes=4096, foreground_timeout=7)
    text = told(limits=limits)
    assert "may run for 90 s and return 4096 bytes" in text
    assert "after 7 s it goes on in the background" in text
    assert "may run" not in told(limits=limits, groups=frozenset({ToolGroup.FILES}))
    assert "may run" not in told(limits=limits, policy=Policy(read_only=True))


def test_what_the_policy_asks_for_is_said() -> None:
    assert "read-only" in told(policy=Policy(read_only=True))
    assert "a person is asked" in told(policy=Policy(confirm=(Confirmation(pattern="rm"),)))
    assert "read-only" not in told()
    assert "a person" not in told()
