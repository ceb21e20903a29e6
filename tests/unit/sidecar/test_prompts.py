"""Prompts and who sees them."""

from dataclasses import replace

import pytest

from fairlead_sidecar.access.grants import LOCAL_CALLER
from fairlead_sidecar.config import Permission, Policy, SidecarConfig, ToolGroup
from fairlead_sidecar.protocol.prompts import PROMPTS, Prompt, available, written
from fairlead_sidecar.reload import activate
from fairlead_sidecar.tools.catalogue import TOOLS
from tests.unit.sidecar.test_schema import CONFIG


def names(config: SidecarConfig, *permissions: Permission) -> set[str]:
    """The prompts that a caller with these permissions sees."""
    caller = replace(LOCAL_CALLER, permissions=frozenset(permissions or Permission))
    return {prompt.name for prompt in available(activate(config.render().encode()), caller)}


def test_a_prompt_is_there_only_where_all_its_tools_are() -> None:
    assert names(CONFIG) == set(PROMPTS)
    assert names(CONFIG, Permission.READ) == {"explain_log"}
    assert names(CONFIG, Permission.EXECUTE) == {"diagnose"}
    assert names(CONFIG.model_copy(update={"groups": frozenset({ToolGroup.FILES})})) == {"explain_log"}
    assert names(CONFIG.model_copy(update={"policy": Policy(read_only=True)})) == {"explain_log"}


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_a_prompt_names_the_host_and_holds_what_it_was_given_and_nothing_else(prompt: Prompt) -> None:
    assert set(prompt.needs) <= set(TOOLS)
    given = {argument.name: f"<{argument.name} {{host}}>" for argument in prompt.arguments}
    text = written(prompt, "web-01", given)
    assert "web-01" in text
    assert all(value in text for value in given.values())


@pytest.mark.parametrize("prompt", PROMPTS.values(), ids=PROMPTS)
def test_what_was_left_out_leaves_no_trace(prompt: Prompt) -> None:
    required = {argument.name: "given" for argument in prompt.arguments if argument.required}
    text = written(prompt, "web-01", required)
    assert "{" not in text
    assert ": \n" not in text
    optional = [argument.name for argument in prompt.arguments if not argument.required]
    assert len(text.split("\n\n")) == len(prompt.text.split("\n\n")) - len(optional)
