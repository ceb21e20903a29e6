"""How settings are written in the environment's text."""

import json
import string


def split(value: object) -> object:
    """The parts of a comma-separated list."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def load_json(value: object) -> object:
    """What JSON says; an empty object where nothing is written.

    Raises:
        ValueError: It is no JSON.
    """
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else {}
    except ValueError as error:
        raise ValueError(f"must be a JSON object of strings ({error})") from None


def check_placeholders(template: str, known: set[str]) -> None:
    """Refuse a template with other places than the known ones.

    Raises:
        ValueError: It has, or is no template at all.
    """
    try:
        used = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from None
    if unknown := used - known:
        allowed = ", ".join(f"{{{name}}}" for name in sorted(known))
        raise ValueError(f"knows only {allowed}, not {', '.join(sorted(unknown)) or '{}'}")
