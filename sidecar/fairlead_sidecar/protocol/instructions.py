"""What a model reads about the host before it uses any tool."""

from fairlead_sidecar.reload import Active

COMMANDS = ("execute_command", "execute_script")


def instructions(active: Active) -> str:
    """The text for a host as it is offered now."""
    config = active.config
    target, limits = config.target, config.limits
    sentences = [
        f"These tools work on the host `{config.name}` ({target.username}@{target.address}:{target.port}) over SSH."
    ]
    if config.description:
        sentences.append(f"Its owner says about it: {config.description}")
    if config.policy.read_only:
        sentences.append("It is read-only: there are no tools that change anything on it.")
    if any(name in active.tools for name in COMMANDS):
        sentences.append(
            f"A command may run for {limits.command_timeout:g} s and return {limits.output_bytes} bytes of stdout and "
            f"of stderr; after {limits.foreground_timeout:g} s it goes on in the background."
        )
    if config.policy.confirm:
        sentences.append("Before some commands a person is asked, through your client.")
    sentences.append(
        "An error has a code, says what to do in `hint`, and whether trying again can help in `retriable`."
    )
    return " ".join(sentences)
