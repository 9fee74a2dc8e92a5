"""``madrpc bench``: load on one function, and what came of it."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from madrpc.cli.arguments import parse_arguments
from madrpc.cli.options import address
from madrpc.cli.remote import client_of
from madrpc.client.loadtest import LoadResult, Plan
from madrpc.policy.thresholds import histogram, summary

__all__ = ["run_bench"]

EXIT_USAGE = 2
EXIT_MISSED = 5
_SHOWN = ("p50", "p90", "p95", "p99", "p999", "max")
_COMPARED = ("rate", "errors", "mean", *_SHOWN)


class _Mistake(Exception):
    """Something about the command line; the text says what to do."""


def run_bench(options: argparse.Namespace) -> int:
    """``madrpc bench``"""
    try:
        if options.target == "compare":
            return _compare(options.words)
        return _measure(options)
    except (_Mistake, argparse.ArgumentTypeError) as mistake:
        print(f"madrpc bench: {mistake}", file=sys.stderr)
        return EXIT_USAGE


def _measure(options: argparse.Namespace) -> int:
    if not options.words:
        raise _Mistake("give the function to call: madrpc bench ADDR METHOD")
    method, *words = options.words
    options.address = address(options.target)
    args = parse_arguments([options.args] if options.args is not None else words)
    plan = _plan(options)
    _say(options, f"calling {method} on {options.address}: {_words(plan)}")
    with client_of(options) as client:
        client.call(method, args)  # a mistake in the call is better told before the load
        result = client.load_test(method, args, plan)
    figures = summary(result.latencies_ms, result.errors.total(), result.seconds)
    report = _report(method, plan, result, figures)
    if options.save:
        Path(options.save).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(report))
    else:
        print("\n".join(_lines(result, figures)))
    return _judge(options, figures)


def _plan(options: argparse.Namespace) -> Plan:
    seconds = options.duration
    if seconds is None and options.calls is None:
        seconds = 10.0
    return Plan(options.concurrency, options.rate, options.calls, seconds, options.warmup)


def _words(plan: Plan) -> str:
    load = f"{plan.concurrency} in flight" if plan.rate is None else f"{plan.rate:g} a second"
    length = f"{plan.calls} calls" if plan.calls is not None else f"{plan.seconds:g} s"
    return f"{load}, {length}, after {plan.warmup_s:g} s of warm-up that do not count"


def _say(options: argparse.Namespace, text: str) -> None:
    if not options.json:
        print(text, file=sys.stderr)


def _report(
    method: str, plan: Plan, result: LoadResult, figures: Mapping[str, float]
) -> dict[str, Any]:
    """What ``--json`` prints and ``--save`` keeps; times in milliseconds."""
    return {
        "method": method,
        "concurrency": plan.concurrency if plan.rate is None else None,
        "target_rate": plan.rate,
        "seconds": round(result.seconds, 3),
        "calls": len(result.latencies_ms) + result.errors.total(),
        "errors_by_name": dict(result.errors),
        **{name: None if math.isnan(value) else round(value, 4) for name, value in figures.items()},
    }


def _lines(result: LoadResult, figures: Mapping[str, float]) -> list[str]:
    calls = len(result.latencies_ms) + result.errors.total()
    times = "  ".join(f"{name} {_ms(figures[name])}" for name in _SHOWN)
    lines = [
        f"{result.seconds:.1f} s  {calls} calls  {figures['rate']:.0f}/s  "
        f"errors {result.errors.total()}",
        f"latency  {times}",
        *histogram(result.latencies_ms),
    ]
    lines += [f"{count:8} x {name}" for name, count in result.errors.most_common()]
    if result.message:
        lines.append(f"first error: {result.message}")
    return lines


def _ms(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3g}ms" if value < 1000 else f"{value / 1000:.3g}s"


def _judge(options: argparse.Namespace, figures: Mapping[str, float]) -> int:
    missed = False
    for threshold in options.fail_if or ():
        is_met = threshold.is_met_by(figures)
        missed = missed or is_met
        found = figures[threshold.name]
        shown = _ms(found) if threshold.name not in ("rate", "errors") else f"{found:.3g}"
        _say(options, f"{'FAIL' if is_met else 'PASS'} {threshold.text}: {threshold.name} {shown}")
    return EXIT_MISSED if missed else 0


def _compare(words: Sequence[str]) -> int:
    if len(words) != 2:
        raise _Mistake("give two files that --save wrote: madrpc bench compare BEFORE AFTER")
    before, after = (_load(path) for path in words)
    print(f"{'':8} {'before':>12} {'after':>12} {'change':>9}")
    for name in _COMPARED:
        print(_row(name, before.get(name), after.get(name)))
    return 0


def _row(name: str, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return f"{name:8} {'-':>12} {'-':>12} {'-':>9}"
    change = f"{100 * (after - before) / before:+.1f} %" if before else "-"
    return f"{name:8} {before:12.3f} {after:12.3f} {change:>9}"


def _load(path: str) -> dict[str, Any]:
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise _Mistake(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict) or "p95" not in found:
        raise _Mistake(f"{path} is not a file that 'madrpc bench --save' wrote")
    return found
