"""What a model reads about the host before it uses any tool."""

from fairlead_sidecar.config import SidecarConfig


def instructions(config: SidecarConfig) -> str:
    """The text for `config`."""
    target = config.target
    sentences = [
        f"These tools work on the host `{config.name}` ({target.username}@{target.address}:{target.port}) over SSH."
    ]
    if config.description:
        sentences.append(f"Its owner says about it: {config.description}")
    if config.policy.read_only:
        sentences.append("It is read-only: there are no tools that change anything on it.")
    sentences.append(
        f"A command may run for {config.limits.command_timeout:g} s and return {config.limits.output_bytes} bytes of "
        "stdout and of stderr. An error has a code, says what to do in `hint`, and whether trying again can help in "
        "`retriable`."
    )
    return " ".join(sentences)
