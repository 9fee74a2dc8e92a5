"""What runs the JavaScript: one heap with one realm, and how to make it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from madrpc.config import EngineLimits

__all__ = ["Kind", "Runtime"]


class Runtime(Protocol):
    """A heap and a realm. Its functions come out as callables that take texts and numbers."""

    def eval(self, source: str) -> Any:
        """Evaluate a script; return the value of its last statement."""

    def set_time_limit(self, seconds: float) -> None:
        """How long each entry that follows may take."""

    def execute_pending_job(self) -> bool:
        """Run one promise job; False if there was none."""


@dataclass(frozen=True)
class Kind:
    """One kind of runtime.

    Attributes:
        open: makes a runtime with the heap and stack it may have.
        close: frees one, whoever still holds it.
        failure: raised by a runtime when JavaScript failed and could not catch it; its text is the
            thrown value, and the stack below.
        heap_bytes: how much of its heap a runtime uses, if it can tell.
        tidy: writes the frames of a stack as QuickJS does.
        shell: JavaScript that every realm begins with; statements.
        web: JavaScript for the realms of scripts that mention what QuickJS has anyway.
    """

    open: Callable[[EngineLimits], Any]
    close: Callable[[Any], None]
    failure: type[Exception]
    heap_bytes: Callable[[Any], int | None] = lambda _runtime: None
    tidy: Callable[[str], str] = str
    shell: str = ""
    web: str = ""
