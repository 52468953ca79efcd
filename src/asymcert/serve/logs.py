"""Logs as one JSON object a line; they tell of requests, never of what stands in them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

LOGGER = logging.getLogger("asymcert.serve")
OTHERS = ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, event, and what it was given as ``facts``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event = record.getMessage().partition("\n")[0]  # further lines may quote a row
        content: dict[str, Any] = {"time": time, "level": record.levelname.lower(), "event": event}
        content |= getattr(record, "facts", {})
        if record.exc_info is not None and record.exc_info[0] is not None:
            content["error"] = record.exc_info[0].__name__  # its message may quote a row
        return json.dumps(content)


def log(event: str, level: int = logging.INFO, error: BaseException | None = None, **facts: Any) -> None:
    """Write one line."""
    if LOGGER.isEnabledFor(level):
        LOGGER.log(level, event, extra={"facts": facts}, exc_info=error)


def set_up() -> None:
    """Send all that is logged in this process to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name in (LOGGER.name, *OTHERS):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING if name == "uvicorn.access" else logging.INFO)
