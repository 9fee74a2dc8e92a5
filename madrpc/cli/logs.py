"""Log lines on stderr, as text or JSON, times in UTC."""

from __future__ import annotations

import json
import logging
import sys
import time

__all__ = ["configure_logging"]


class _UtcFormatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03}Z"

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = super().formatMessage(record)
        trace = _call_of(record).get("trace")
        return f"{text} trace={trace}" if trace else text


class _JsonFormatter(_UtcFormatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "ts": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_call_of(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _call_of(record: logging.LogRecord) -> dict[str, str]:
    """The call that a record is about: ``method``, ``node`` and ``trace``, as far as known."""
    call = getattr(record, "call", None) or {}
    return {key: value for key, value in call.items() if value is not None}


def configure_logging(level: str, form: str) -> None:
    """Send log records of ``level`` and above to stderr.

    Args:
        level: debug, info, warning or error.
        form: text or json.
    """
    handler = logging.StreamHandler(sys.stderr)
    text = _UtcFormatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JsonFormatter() if form == "json" else text)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
