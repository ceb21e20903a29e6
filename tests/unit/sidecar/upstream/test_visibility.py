"""Which of the servers' offers a caller sees."""

from dataclasses import replace

import pytest

from fairlead_sidecar.access.grants import LOCAL_CALLER, Caller
from fairlead_sidecar.config import Permission, ToolSelection
from fairlead_sidecar.protocol.addressing import Directory
from fairlead_sidecar.protocol.servers import prompts, resources
from fairlead_sidecar.upstream.spec import Catalogue

CATALOGUE = Catalogue(prompts=({"name": "plan"}, {"name": "drop"}), resources=({"uri": "stock://items", "name": "x"},))
DIRECTORY = Directory.of({"hn": CATALOGUE}, "ssh://web-01/")
CALLER = replace(LOCAL_CALLER, permissions=frozenset({Permission.CALL}))


def seen(caller: Caller) -> list[str]:
    return [entry.name for entry in (*prompts(DIRECTORY, caller, None), *resources(DIRECTORY, caller, None))]


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (ToolSelection(), ["hn__plan", "hn__drop", "stock://items"]),
        (ToolSelection(deny=("*drop",)), ["hn__plan", "stock://items"]),
        (ToolSelection(allow=("hn__plan",)), ["hn__plan"]),
        (ToolSelection(allow=("app__*",)), []),
    ],
)
def test_a_token_with_call_sees_what_its_selection_leaves(selection: ToolSelection, names: list[str]) -> None:
    assert sorted(seen(replace(CALLER, tools=selection))) == sorted(names)


def test_a_token_without_call_sees_nothing_of_servers() -> None:
    assert not seen(replace(CALLER, permissions=frozenset(Permission) - {Permission.CALL}))


def test_the_operators_probe_sees_nothing_so_that_no_server_can_spoil_the_hosts_readiness() -> None:
    assert not seen(replace(CALLER, permissions=frozenset(), is_probe=True))
