"""madrpc with workers that ask to be replaced after each call, and then never leave.

Worker processes import this module as the main one of their node, and so take these changes too.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from madrpc.__main__ import main
from madrpc.engine.quickjs import QuickJSEngine
from madrpc.node import worker

_serve = worker._serve


def _serve_and_stay(*args: Any) -> None:
    _serve(*args)
    while True:
        time.sleep(1)


worker._serve = _serve_and_stay
QuickJSEngine.is_worn = property(lambda engine: True)  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(main())
