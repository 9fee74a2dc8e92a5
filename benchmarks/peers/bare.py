"""A call with nothing around it: a fresh QuickJS context, the script, one function."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import quickjs

__all__ = ["call"]

_SOURCE = (Path(__file__).parent / "work.js").read_text()
_HOST = """(() => {
  const functions = {};
  globalThis.madrpc = { register(name, fn) { functions[name] = fn; } };
  return (name, args) => JSON.stringify(functions[name](JSON.parse(args)));
})()"""


def call(method: str, args: dict[str, Any]) -> Any:
    """Run a function of ``work.js``."""
    context = quickjs.Context()
    host = context.eval(_HOST)
    context.eval(_SOURCE)
    return json.loads(host(method, json.dumps(args)))
