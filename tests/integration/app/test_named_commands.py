"""Commands that the host's owner named, as tools of their own."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fairlead_sidecar.config import CommandPolicy, Limits, NamedCommand, Parameter, Permission, Policy, Sudo, ToolGroup
from tests.integration.app.endpoint import ERAS, RunningEndpoint, processes, running, until
from tests.integration.app.using import marker, use
from tests.integration.sshd import SshdFactory

both_eras = pytest.mark.parametrize("era", ERAS)
WORDS = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd()]))"
COMMANDS = (
    NamedCommand(
        name="show",
        description="Shows its words.",
        argv=("python3", "-c", WORDS, "--unit={unit}", "{count}", "{{x}}", "{force}"),
        parameters={
            "unit": Parameter(description="What to show.", pattern="[a-z-]+"),
            "count": Parameter(type="Integer", minimum=2, maximum=9, default="3"),
            "force": Parameter(type="Boolean", default="false"),
        },
        working_directory="/tmp",
        read_only=True,
    ),
    NamedCommand(name="say", argv=("echo", "{text}"), parameters={"text": Parameter()}),
    NamedCommand(name="pick", argv=("echo", "{schema}"), parameters={"schema": Parameter(enum=("-a", "b"))}),
    NamedCommand(name="wait", argv=("sleep", "{seconds}"), parameters={"seconds": Parameter(type="Integer")}),
    NamedCommand(
        name="brief", argv=("sleep", "{seconds}"), parameters={"seconds": Parameter(type="Integer")}, timeout=2.0
    ),
)


@pytest.fixture
async def naming(sshd_factory: SshdFactory) -> AsyncIterator[RunningEndpoint]:
    """A sidecar with named commands and no group of tools; free commands would be denied altogether."""
    policy = Policy(named_commands=COMMANDS, commands=CommandPolicy(deny=(".",)))
    config = sshd_factory(username="deploy").sidecar_config(policy=policy, groups=frozenset())
    async with running(config) as endpoint:
        yield endpoint


async def words(endpoint: RunningEndpoint, era: str = "auto", **given: Any) -> Any:
    result = await use(endpoint, "run_show", era=era, **given)
    return json.loads(result["stdout"]) if "code" not in result else result["message"]


@both_eras
async def test_each_named_command_is_a_tool_with_typed_parameters(naming: RunningEndpoint, era: str) -> None:
    async with naming.client(era) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {
        *("connection_status", "run_show", "run_say", "run_pick", "run_wait", "run_brief"),
        *("command_output", "command_cancel", "read_output"),
    }
    show = tools["run_show"]
    assert show.title == "Show"
    assert (show.description or "").startswith("Shows its words. Runs `python3 -c ")
    assert show.annotations is not None
    assert show.annotations.read_only_hint
    assert show.input_schema["required"] == ["unit"]
    assert show.input_schema["properties"] == {
        "unit": {"description": "What to show.", "type": "string", "pattern": "^(?:[a-z-]+)$"},
        "count": {"description": "Default: '3'.", "type": "integer", "minimum": 2, "maximum": 9},
        "force": {"description": "Default: 'false'.", "type": "boolean"},
    }
    assert tools["run_pick"].input_schema["properties"]["schema"]["enum"] == ["-a", "b"]
    assert not (tools["run_say"].annotations or show.annotations).read_only_hint


@both_eras
async def test_values_become_words_and_defaults_fill_the_rest(naming: RunningEndpoint, era: str) -> None:
    assert await words(naming, era, unit="web") == [["--unit=web", "3", "{x}", "false"], "/tmp"]
    assert await words(naming, era, unit="a-b", count=9, force=True) == [["--unit=a-b", "9", "{x}", "true"], "/tmp"]


@pytest.mark.parametrize(
    "text", ["$(touch /tmp/fairlead-owned)", "`id`; id", "a b", "'\"\\", "*", "~", "$HOME", "a\nb", "&& id", ">x", "é€"]
)
async def test_no_shell_ever_reads_a_value(naming: RunningEndpoint, text: str) -> None:
    assert (await use(naming, "run_say", text=text))["stdout"] == f"{text}\n"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "unit"),
        ({"unit": "Web"}, "`[a-z-]+`"),
        ({"unit": "-rf"}, "begin with"),
        ({"unit": "web\n"}, "as a whole"),
        ({"unit": "web", "count": 10}, "count"),
        ({"unit": "web", "count": "1; id"}, "count"),
        ({"unit": "web", "force": "yes"}, "force"),
        ({"unit": "web", "other": 1}, "other"),
        ({"unit": "web", "wait_seconds": 1}, "wait_seconds"),
        ({"unit": ["web"]}, "unit"),
    ],
)
async def test_what_a_parameter_does_not_take_is_refused(
    naming: RunningEndpoint, given: dict[str, Any], says: str
) -> None:
    result = await use(naming, "run_show", **given)
    assert result["code"] == "invalid_request"
    assert says in result["message"]


async def test_an_option_is_accepted_only_where_the_owner_wrote_it(naming: RunningEndpoint) -> None:
    assert (await use(naming, "run_pick", schema="-a"))["stdout"] == "-a\n"
    assert (await use(naming, "run_pick", schema="-b"))["code"] == "invalid_request"
    assert (await use(naming, "run_say", text="--version"))["code"] == "invalid_request"


async def test_a_named_command_goes_to_the_background_and_has_a_deadline_of_its_own(naming: RunningEndpoint) -> None:
    naming.reconfigure(limits=Limits(foreground_timeout=0.3))
    await naming.settled()
    seconds = int(marker())
    begun = await use(naming, "run_wait", seconds=seconds)
    assert begun["status"] == "running"
    ended = await use(naming, "command_cancel", command_id=begun["command_id"])
    assert ended["stopped"] == "cancelled"
    begun = await use(naming, "run_brief", seconds=seconds)

    async def has_ended() -> bool:
        # No call waits for longer than the host lets it.
        return bool((await use(naming, "command_output", command_id=begun["command_id"]))["status"] == "ended")

    await until(has_ended, "its deadline")
    ended = await use(naming, "command_output", command_id=begun["command_id"])
    assert (ended["code"], ended["stopped"]) == ("command_timed_out", "timeout")
    await until(lambda: not processes(str(seconds)), "both to die")


async def test_a_read_only_host_keeps_those_that_change_nothing(naming: RunningEndpoint) -> None:
    naming.reconfigure(policy=naming.config.policy.model_copy(update={"read_only": True}), groups=frozenset(ToolGroup))
    await naming.settled()
    assert (await words(naming, unit="web"))[0][0] == "--unit=web"
    async with naming.client() as client:
        offered = {tool.name for tool in (await client.list_tools()).tools}
        refused = await client.call_tool("run_say", {"text": "x"})
    assert "run_show" in offered
    assert not offered & {"run_say", "execute_command", "execute_script", "write_file"}
    assert refused.structured_content is not None
    assert refused.structured_content["code"] == "policy_denied"


async def test_a_token_without_execute_has_none_of_them(naming: RunningEndpoint) -> None:
    token, grant = naming.keyring.grant(Permission.VIEW, Permission.READ, Permission.SUDO)
    naming.reconfigure(tokens=(*naming.config.tokens, grant))
    await naming.settled()
    async with naming.client(token=token) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["connection_status"]


async def test_the_audit_trail_has_the_words_that_ran_and_metrics_one_name_for_all(naming: RunningEndpoint) -> None:
    await use(naming, "run_say", text="a b")
    line = naming.audit("call")[-1]
    assert (line["tool"], line["command"], line["outcome"]) == ("run_say", "echo 'a b'", "ok")
    async with naming.http() as http:
        metrics = (await http.get(f"{naming.internal_url}/metrics")).text
    assert 'fairlead_calls_total{outcome="ok",tool="run_named"}' in metrics
    assert "run_say" not in metrics


async def test_a_named_command_for_an_account_that_sudo_does_not_allow_closes_the_host(
    naming: RunningEndpoint,
) -> None:
    bad = NamedCommand(name="bad", argv=("id",), user="root")
    naming.reconfigure(policy=Policy(named_commands=(*COMMANDS, bad), sudo=Sudo()))
    await naming.settled()
    assert "namedCommands[5].user" in (naming.sidecar.status().config_error or "")
    refused = await use(naming, "run_say", text="x")
    assert refused["code"] == "policy_denied"
