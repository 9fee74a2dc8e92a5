"""Check every function of basic_operations.js on a running service.

Start one first::

    madrpc up js_examples/basic_operations.js
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from madrpc import Client, JavaScriptError, MadrpcError

SERVE = "madrpc up js_examples/basic_operations.js"
NOTHING_THERE = {"ConnectionFailed", "NoNodeAvailable", "MethodNotFound"}

Arguments = dict[str, Any]

ANSWERS: list[tuple[str, Arguments, Any]] = [
    ("add", {"a": 5, "b": 3}, 8),
    ("subtract", {"a": 5, "b": 3}, 2),
    ("multiply", {"a": 5, "b": 3}, 15),
    ("divide", {"a": 7, "b": 2}, 3.5),
    ("concatenate", {"strings": ["mad", "rpc"]}, "madrpc"),
    ("concatenate", {"strings": ["a", "b", "c"], "separator": ", "}, "a, b, c"),
    ("reverse", {"text": "héllo 👍"}, "👍 olléh"),
    ("uppercase", {"text": "straße"}, "STRASSE"),
    ("lowercase", {"text": "ÀB"}, "àb"),
    ("word_count", {"text": "To be, or not to be"}, {"to": 2, "be": 2, "or": 1, "not": 1}),
    ("word_count", {"text": "constructor __proto__"}, {"constructor": 1, "__proto__": 1}),
    ("merge", {"objects": [{"x": 1, "y": 1}, {"y": 2}]}, {"x": 1, "y": 2}),
    ("merge", {"objects": [{"__proto__": {"x": 1}}]}, {"__proto__": {"x": 1}}),
    ("deep_clone", {"value": {"list": [1, {"deep": None}]}}, {"list": [1, {"deep": None}]}),
    ("pick", {"object": {"x": 1, "y": 2}, "keys": ["y", "toString"]}, {"y": 2}),
    ("pipeline", {"value": 2, "steps": [{"op": "add", "b": 3}, {"op": "multiply", "b": 4}]}, 20),
    ("pipeline", {"value": "abc", "steps": [{"op": "uppercase"}, {"op": "reverse"}]}, "CBA"),
]

ERRORS: list[tuple[str, Arguments, str]] = [
    ("add", {"a": "5", "b": 3}, "a must be of type number, not string"),
    ("divide", {"a": 1, "b": 0}, "division by zero"),
    ("concatenate", {"strings": ["a", 1]}, "strings[1] must be of type string"),
    ("pipeline", {"value": 1, "steps": [{"op": "cube"}]}, 'steps[0]: unknown operation "cube"'),
]


def main() -> int:
    parser = argparse.ArgumentParser(description="Check basic_operations.js on a running service.")
    parser.add_argument("address", nargs="?", default="127.0.0.1:8080", help="default: %(default)s")
    address = parser.parse_args().address
    try:
        client = Client(address)
    except ValueError as error:  # not an address
        parser.error(str(error))
    try:
        with client:
            return run_checks(client)
    except MadrpcError as error:
        print(explain(error, address), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def run_checks(client: Client) -> int:
    """Run all checks; the exit code says whether every one of them passed."""
    passed = [check_answer(client, *case) for case in ANSWERS]
    passed += [check_error(client, *case) for case in ERRORS]
    print(f"\n{sum(passed)} of {len(passed)} checks passed")
    return 0 if all(passed) else 1


def check_answer(client: Client, method: str, arguments: Arguments, expected: Any) -> bool:
    label = written(method, arguments)
    try:
        answer = client.call(method, arguments)
    except JavaScriptError as error:
        return report(False, f"{label} threw {error.message}")
    if answer == {"result": expected}:
        return report(True, f"{label} = {as_json(expected)}")
    return report(False, f"{label} gave {as_json(answer)}, expected result {as_json(expected)}")


def check_error(client: Client, method: str, arguments: Arguments, expected: str) -> bool:
    label = written(method, arguments)
    try:
        answer = client.call(method, arguments)
    except JavaScriptError as error:
        if expected in error.message:
            return report(True, f"{label} throws {error.message}")
        return report(False, f"{label} threw {error.message}, expected {expected}")
    return report(False, f"{label} gave {as_json(answer)}, expected an error: {expected}")


def report(passed: bool, text: str) -> bool:
    print(f"{'ok  ' if passed else 'FAIL'} {text}", flush=True)
    return passed


def written(method: str, arguments: Arguments) -> str:
    """The call as one would write it: add(5, 3)."""
    return f"{method}({', '.join(as_json(value) for value in arguments.values())})"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def explain(error: MadrpcError, address: str) -> str:
    """What failed, why, and what to do about it."""
    if error.name in NOTHING_THERE:
        advice = f"Serve the script there first: {SERVE}"
    else:
        advice = f"See what is running there: madrpc info {address}"
    return f"The checks stopped on {address}\n{error.name}: {error.message}\n{advice}"


if __name__ == "__main__":
    sys.exit(main())
