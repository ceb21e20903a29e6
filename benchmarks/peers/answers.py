"""Read what peers answer."""

import json
from typing import Any

from mcp_types import CallToolResult, TextContent


def text(result: CallToolResult) -> str:
    """The text of an answer.

    Raises:
        RuntimeError: The answer is an error; the message holds its beginning.
    """
    joined = "".join(block.text for block in result.content if isinstance(block, TextContent))
    if result.is_error:
        msg = f"the tool failed: {joined[:300]}"
        raise RuntimeError(msg)
    return joined


def structured(result: CallToolResult) -> Any:
    """The answer as data: its structured content, or else its text read as JSON, or the text itself."""
    written = text(result)
    if result.structured_content is not None:
        return result.structured_content
    try:
        return json.loads(written)
    except ValueError:
        return written
