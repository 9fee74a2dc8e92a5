"""Log lines on stderr, as text or JSON, times in UTC."""

from __future__ import annotations

import atexit
import json
import logging
import os
import re
import sys
import threading
import time
from typing import TextIO

__all__ = ["configure_logging"]

#: What scripts and peers wrote must not steer a terminal.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
#: Lines that others wrote are cut to this many bytes.
_LONGEST_LINE = 64 * 1024
#: Workers have ended by the time that this process does; what they wrote last is waited for.
_LAST_WORDS_S = 0.5


class _UtcFormatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{whole}.{int(record.msecs):03}Z"

    def formatMessage(self, record: logging.LogRecord) -> str:
        text = _STEERING.sub("?", super().formatMessage(record))
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
        # ASCII alone has neither line ends that only some readers know, nor halves of characters.
        return json.dumps(line)


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
    is_json = form == "json"
    handler = logging.StreamHandler(_separate_stderr() if is_json else sys.stderr)
    text = _UtcFormatter("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(_JsonFormatter() if is_json else text)
    logging.captureWarnings(True)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _separate_stderr() -> TextIO:
    """Make whatever else is written to stderr, also by worker processes, records of the log.

    Returns:
        Where the log goes: what was stderr until now.
    """
    real = os.dup(2)
    read_end, write_end = os.pipe()
    sys.stderr.flush()
    os.dup2(write_end, 2)
    os.close(write_end)
    reader = threading.Thread(target=_log_lines_of, args=(read_end,), daemon=True)
    reader.start()

    def put_back() -> None:
        sys.stderr.flush()
        os.dup2(real, 2)
        reader.join(_LAST_WORDS_S)

    atexit.register(put_back)
    return os.fdopen(real, "w", encoding="ascii", closefd=False)


def _log_lines_of(fd: int) -> None:
    log = logging.getLogger("stderr")
    with open(fd, "rb") as source:
        while line := source.readline(_LONGEST_LINE):
            if text := line.decode("utf-8", "backslashreplace").rstrip():
                log.warning("%s", text)
