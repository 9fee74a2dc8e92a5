"""What a node says about functions that run in copies of one loaded process."""

from __future__ import annotations

__all__ = ["DREW_WHILE_LOADING"]

DREW_WHILE_LOADING = (
    "%s, or a library before it, draws random numbers while it loads; with isolation snapshot "
    "every call sees these same numbers (Math.random and crypto in a function differ as ever); "
    "draw them in the function, or use --isolation context"
)
