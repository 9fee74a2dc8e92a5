"""A call with nothing around it: a fresh V8 isolate of mini-racer, the script, one function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from py_mini_racer import MiniRacer

__all__ = ["call"]

_SOURCE = (Path(__file__).parent / "work.js").read_text()
_HOST = "const functions = {}; const madrpc = { register(name, fn) { functions[name] = fn; } };"


def call(method: str, args: dict[str, Any]) -> Any:
    """Run a function of ``work.js``."""
    with MiniRacer() as isolate:
        isolate.eval(_HOST)
        isolate.eval(_SOURCE)
        text = isolate.eval(f"JSON.stringify(functions[{method!r}]({json.dumps(args)}))")
    return json.loads(str(text))
