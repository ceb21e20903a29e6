"""How a session of an SSH server ended, in words."""

from types import SimpleNamespace
from typing import Any

from fairlead_client.connect import ssh


def test_the_name_of_a_signal_is_fit_for_a_terminal() -> None:
    process: Any = SimpleNamespace(exit_signal=("\x1b]0;title\x07KILL", False, "", ""), exit_status=None)
    words, code = ssh._end(process, "web-01:22")
    assert words.isprintable()
    assert "KILL" in words
    assert code == 1
