"""How far a map is: a bar of tqdm where there is one, else a line."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator, Sized
from typing import Any, Self

__all__ = ["LineProgress", "progress_bar", "with_progress"]

#: How often a line is written: again and again in one place on a terminal, and elsewhere.
_TERMINAL_S = 0.2
_LOG_S = 10.0


def with_progress(results: Generator[Any, None, None], label: str, items: object) -> Iterator[Any]:
    """Show on stderr how far ``results`` is; leaving it closes ``results``.

    Args:
        label: what the bar is called.
        items: the input; its length, if it has one, is the total.
    """
    try:
        with progress_bar(label, items) as bar:
            for result in results:
                bar.update()
                yield result
    finally:
        results.close()


def progress_bar(label: str, items: object) -> Any:
    """A context with ``update``, which its owner calls for each result.

    It is tqdm's on a terminal and in a notebook, if the extra ``progress`` is installed. A log that
    somebody reads later gets a line every ten seconds.
    """
    total = len(items) if isinstance(items, Sized) else None
    if sys.stderr.isatty() or "ipykernel" in sys.modules:
        try:
            from tqdm.auto import tqdm
        except ImportError:
            pass  # a line does as well
        else:
            return tqdm(desc=label, total=total, unit="call")
    return LineProgress(label, total)


class LineProgress:
    """Tells on stderr how far something is: one line that is redrawn, or one every ten seconds.

    Args:
        label: what the line begins with.
        total: how many there will be, if that is known.
        quiet: say nothing.
    """

    def __init__(self, label: str, total: int | None = None, *, quiet: bool = False) -> None:
        self._label = label
        self._of = "" if total is None else f"/{total}"
        self._quiet = quiet
        self._is_terminal = sys.stderr.isatty()
        self._every_s = _TERMINAL_S if self._is_terminal else _LOG_S
        self._began = self._told = time.monotonic()
        self._done = self._failed = 0

    def __repr__(self) -> str:
        return f"<LineProgress {self._label} {self._done}{self._of}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, failed: int = 0) -> None:
        """One more is done; ``failed`` is 1 if it failed."""
        self._done += 1
        self._failed += failed
        now = time.monotonic()
        if now - self._told >= self._every_s:
            self._told = now
            self._tell(now)

    def close(self) -> None:
        """All are done, or no more will be."""
        self._tell(time.monotonic())
        if self._is_terminal and not self._quiet:
            print(file=sys.stderr)

    def _tell(self, now: float) -> None:
        if self._quiet:
            return
        rate = self._done / max(0.001, now - self._began)
        text = f"{self._label} {self._done}{self._of} done  {rate:.1f}/s  failed {self._failed}"
        if self._is_terminal:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
