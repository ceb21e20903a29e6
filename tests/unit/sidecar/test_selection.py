import pytest

from fairlead_sidecar.access.selection import MOST_CHARACTERS, selected
from fairlead_sidecar.config import ToolSelection


@pytest.mark.parametrize(
    ("selection", "name", "expected"),
    [
        (ToolSelection(), "anything", True),
        (ToolSelection(allow=("hn__*",)), "hn__top", True),
        (ToolSelection(allow=("hn__*",)), "hn2__top", False),
        (ToolSelection(allow=("hn__*",)), "execute_command", False),
        (ToolSelection(allow=("read_?ile", "hn__*")), "read_file", True),
        (ToolSelection(allow=("*",), deny=("hn__del*",)), "hn__delete", False),
        (ToolSelection(deny=("hn__del*",)), "hn__list", True),
        (ToolSelection(allow=("HN__*",)), "hn__top", False),
        (ToolSelection(allow=("a[bc]",)), "ab", False),
        (ToolSelection(allow=("a.c",)), "abc", False),
        (ToolSelection(allow=()), "anything", False),
        (ToolSelection(allow=("*",)), "a\nb", True),
        (ToolSelection(deny=("nothing",)), "x" * (MOST_CHARACTERS + 1), False),
    ],
)
def test_a_selection_lets_through_what_it_allows_and_does_not_deny(
    selection: ToolSelection, name: str, expected: bool
) -> None:
    assert selected(selection, name) is expected


def test_a_hostile_name_is_judged_in_no_time() -> None:
    assert not selected(ToolSelection(allow=("*a*a*a*a*a*b",)), "a" * MOST_CHARACTERS)
