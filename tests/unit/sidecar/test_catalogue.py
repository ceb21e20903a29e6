"""Which tools a host has and a caller sees."""

from dataclasses import replace

import pytest

from fairlead_sidecar.access.grants import LOCAL_CALLER
from fairlead_sidecar.config import Permission, Policy, ToolGroup
from fairlead_sidecar.tools.catalogue import TOOLS, host_tools, offered, withheld
from tests.unit.sidecar.test_schema import CONFIG

READ_ONLY = Policy(read_only=True)


@pytest.mark.parametrize("policy", [Policy(), READ_ONLY])
def test_a_host_without_groups_has_the_connection_tools_only(policy: Policy) -> None:
    config = CONFIG.model_copy(update={"groups": frozenset(), "policy": policy})
    assert set(host_tools(config)) == {"connection_status"}
    assert withheld(config) == {}


def test_each_group_brings_its_own_tools() -> None:
    for group in ToolGroup:
        tools = host_tools(CONFIG.model_copy(update={"groups": frozenset({group})}))
        assert {tool.group for tool in tools.values()} == {None, group}


def test_a_read_only_host_has_only_tools_that_change_nothing() -> None:
    config = CONFIG.model_copy(update={"policy": READ_ONLY})
    tools = host_tools(config)
    assert "read_file" in tools
    assert all(tool.annotations.read_only_hint for tool in tools.values())
    assert set(withheld(config)) == set(TOOLS) - set(tools)
    assert {"execute_command", "write_file"} <= set(withheld(config))


def test_a_caller_sees_the_tools_it_has_permission_for_and_the_probe_all() -> None:
    viewer = replace(LOCAL_CALLER, permissions=frozenset({Permission.VIEW}))
    assert [tool.name for tool in offered(TOOLS, viewer)] == ["connection_status"]
    probe = replace(LOCAL_CALLER, permissions=frozenset(), is_probe=True)
    assert offered(TOOLS, probe) == list(TOOLS.values())
