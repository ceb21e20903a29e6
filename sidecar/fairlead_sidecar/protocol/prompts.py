"""Prompts: what a person often asks an agent about a host, ready to be picked from a menu."""

from dataclasses import dataclass

import mcp_types as types
from mcp.shared.exceptions import MCPError

from fairlead_sidecar.access.grants import Caller
from fairlead_sidecar.protocol.caller import Callers, Context
from fairlead_sidecar.reload import Active

MOST_CHARACTERS = 4000
"""Longest value of an argument."""


@dataclass(frozen=True)
class Prompt:
    """One prompt.

    `text` holds each argument as `{name}`, and the host's name as `{host}`; a paragraph with an argument that was
    left out is left out as well.
    """

    name: str
    title: str
    description: str
    arguments: tuple[types.PromptArgument, ...]
    needs: tuple[str, ...]
    """Tools without which it makes no sense."""
    text: str


PROMPTS = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            name="diagnose",
            title="Find out what is wrong",
            description="Look for the cause of a problem on the host, without changing anything.",
            arguments=(
                types.PromptArgument(name="symptom", description="What is wrong, or a service's name.", required=True),
            ),
            needs=("execute_command",),
            text=(
                "Find out on the host {host} why this is so: {symptom}\n\n"
                "Only look, change nothing. Begin with what is cheap: whether the host answers, load, memory, full "
                "disks, failed services, the newest errors in the logs that belong to it. Follow what you find to its "
                "cause, and keep output short (`--no-pager`, `-n 100`, `head`).\n\n"
                "Tell me the cause and how sure you are, the lines that show it, and the commands that would mend it. "
                "Run none of those before I agree."
            ),
        ),
        Prompt(
            name="explain_log",
            title="Explain a log file",
            description="Read a log on the host and say what matters in it.",
            arguments=(
                types.PromptArgument(name="path", description="The log's path on the host.", required=True),
                types.PromptArgument(name="question", description="What you want to know from it."),
            ),
            needs=("read_file",),
            text=(
                "Read the log {path} on the host {host}. Where it is long, begin with its end.\n\n"
                "What I want to know: {question}\n\n"
                "Tell me what happened and when, which messages matter and which are noise, and what to do. Quote the "
                "lines that you rely on."
            ),
        ),
        Prompt(
            name="deploy_check",
            title="Check before or after a deployment",
            description="See whether the host and a service on it are fit, without changing anything.",
            arguments=(
                types.PromptArgument(name="service", description="The service's name.", required=True),
                types.PromptArgument(name="expected", description="What should be so, e.g. a version or a URL."),
            ),
            needs=("connection_status", "execute_command"),
            text=(
                "Check on the host {host} whether {service} is fit. Change nothing.\n\n"
                "What should be so: {expected}\n\n"
                "Look at: the connection, free disk and memory, the service's state and since when it runs, its last "
                "restarts, errors in its log since then, whether it listens on its ports and answers there, and when "
                "its certificates end.\n\n"
                "Answer with a list, each line OK, WARN or FAIL with the evidence, and then one sentence: go or no go."
            ),
        ),
    )
}


def available(active: Active, caller: Caller) -> list[Prompt]:
    """Those whose tools the caller has."""

    def has(name: str) -> bool:
        tool = active.tools.get(name)
        return tool is not None and caller.may_use(tool.permission, name)

    return [prompt for prompt in PROMPTS.values() if all(has(name) for name in prompt.needs)]


def listed(active: Active, caller: Caller) -> list[types.Prompt]:
    """The prompts as `prompts/list` shows them."""
    return [
        types.Prompt(
            name=prompt.name, title=prompt.title, description=prompt.description, arguments=list(prompt.arguments)
        )
        for prompt in available(active, caller)
    ]


def written(prompt: Prompt, host: str, given: dict[str, str]) -> str:
    """The text with the arguments in it."""
    values = {argument.name: given.get(argument.name, "").strip() for argument in prompt.arguments} | {"host": host}
    paragraphs = [
        paragraph
        for paragraph in prompt.text.split("\n\n")
        if all(value for name, value in values.items() if f"{{{name}}}" in paragraph)
    ]
    return "\n\n".join(paragraph.format(**values) for paragraph in paragraphs)


class Prompts:
    """Serves `prompts/get`."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers

    async def get(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """A prompt with the given arguments; the host is not touched."""
        active, caller = self._callers.who(ctx)
        prompt = next((prompt for prompt in available(active, caller) if prompt.name == params.name), None)
        if prompt is None:
            raise MCPError(code=types.INVALID_PARAMS, message=f"Unknown prompt: {params.name[:100]!a}")
        given = params.arguments or {}
        for argument in prompt.arguments:
            value = given.get(argument.name, "")
            if argument.required and not value.strip():
                raise MCPError(code=types.INVALID_PARAMS, message=f"The argument {argument.name} is missing.")
            if len(value) > MOST_CHARACTERS:
                message = f"The argument {argument.name} may have at most {MOST_CHARACTERS} characters."
                raise MCPError(code=types.INVALID_PARAMS, message=message)
        text = types.TextContent(type="text", text=written(prompt, active.config.name, given))
        return types.GetPromptResult(
            description=prompt.description, messages=[types.PromptMessage(role="user", content=text)]
        )
