"""The process's own log: JSON lines on standard error. (The audit trail is another thing, on standard output.)"""

import json
import logging
import sys
from datetime import UTC, datetime

_QUIET = {
    # These would write what is not ours to log: commands (asyncssh), session ids and bodies (mcp), URLs and headers
    # (httpx2).
    "asyncssh": logging.WARNING,
    "httpcore2": logging.WARNING,
    "httpx2": logging.WARNING,
    "mcp": logging.WARNING,
    "sse_starlette": logging.WARNING,
    "uvicorn": logging.WARNING,
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line, in ASCII, so that no text can begin a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(level: str = "INFO") -> None:
    """Send everything that is logged to standard error as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(max(least, logging.getLevelName(level)))
