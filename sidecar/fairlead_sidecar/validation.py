"""What pydantic finds wrong, in a sentence."""

from pydantic import ValidationError

_MOST = 5


def problems(error: ValidationError) -> str:
    """Where and what, without the values, which may be secret; the first few of many."""
    found = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'file'}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False, include_context=False)
    ]
    return "; ".join(found[:_MOST])
