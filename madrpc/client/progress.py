"""A progress bar for an iterator of results, through tqdm."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any

__all__ = ["progress_bar", "with_progress"]


def with_progress(results: Iterator[Any], label: str, items: object) -> Iterator[Any]:
    """Show on stderr how far ``results`` is.

    Args:
        label: what the bar is called.
        items: the input; its length, if it has one, is the total.

    Raises:
        ImportError: tqdm is not installed.
    """
    bar: Iterator[Any] = iter(progress_bar(label, items, results))
    return bar


def progress_bar(label: str, items: object, results: Iterator[Any] | None = None) -> Any:
    """A bar; without ``results`` its owner calls ``update`` for each of them.

    Raises:
        ImportError: tqdm is not installed.
    """
    try:
        from tqdm.auto import tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm; install it with: pip install 'madrpc[progress]'"
        ) from error
    total = len(items) if isinstance(items, Sized) else None
    return tqdm(results, desc=label, total=total, unit="call")
