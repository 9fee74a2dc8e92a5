"""Measured figures as tables and curves, and the marked blocks of pages that show them. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.scale.figures import Figure
from benchmarks.scale.sizing import CELL_NODES, CORES, LOAD, Plan, plan
from benchmarks.scale.svg import Chart, Series, draw

__all__ = ["blocks", "charts", "is_busy", "replace_block", "table"]

_SIZES = (10, 1_000, 100_000)
_LENGTHS_S = (0.02, 1.0)
_BUSY = " **Provisional: the machine was busy with other work.**"


def replace_block(text: str, name: str, content: str) -> str:
    """Put content between ``<!-- scale:NAME -->`` and ``<!-- /scale:NAME -->``.

    Raises:
        ValueError: the text has no such block, or more than one.
    """
    begin, end = f"<!-- scale:{name} -->", f"<!-- /scale:{name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if len(pattern.findall(text)) != 1 or text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"the page needs {begin} and {end} once each, in this order")
    return pattern.sub(lambda _: f"{begin}\n{content.strip()}\n{end}", text)


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _figure(row: Mapping[str, Any], key: str) -> Figure | None:
    values = [each[key] for each in row["rounds"] if key in each]
    return Figure(values) if values else None


def _median(row: Mapping[str, Any], key: str) -> float:
    return Figure([each[key] for each in row["rounds"]]).median


def _cell(figure: Figure | None, digits: int = 0, *, percent: bool = False) -> str:
    if figure is None:
        return ""
    return figure.percent() if percent else figure.text(digits)


def is_busy(about: Mapping[str, Any]) -> bool:
    """Whether a machine had so much else to do that what it measures is worth little."""
    return bool(about["load_before"] > about["cpus"] / 4)


def _where(part: Mapping[str, Any]) -> str:
    about = part["about"]
    return (
        f"Measured on {about['date']} at commit {about['commit']}: {about['cpus']} processors "
        f"({about['cpu_model']}), Python {about['python']}, load {about['load_before']} "
        "before the run. Medians of the rounds, and the extremes in brackets."
        + (_BUSY if is_busy(about) else "")
    )


# ---------------------------------------------------------------- workers


def _workers(part: Mapping[str, Any]) -> str:
    rows = [
        (
            str(row["count"]),
            _cell(_figure(row, "rate"), 1),
            _cell(_figure(row, "efficiency"), percent=True),
            _cell(_figure(row, "bare_rate"), 1),
            _cell(_figure(row, "bare_efficiency"), percent=True),
            _cell(_figure(row, "relative"), percent=True),
            *(_core_share(row, who) for who in ("client", "orchestrator", "front_end")),
        )
        for row in part["rows"]
    ]
    headings = (
        *("workers", "calls/s", "efficiency", "bare loops, calls/s", "their efficiency"),
        *("efficiency / theirs", "client, of a core", "orchestrator", "front end"),
    )
    return "\n\n".join((_where(part), table(headings, rows)))


def _core_share(row: Mapping[str, Any], who: str) -> str:
    return f"{Figure([r['rate'] * r[f'{who}_us'] / 1e6 for r in row['rounds']]).median:.1%}"


def _workers_chart(part: Mapping[str, Any]) -> Chart:
    rows = part["rows"]
    series = [
        Series("madrpc", [(r["count"], _median(r, "efficiency")) for r in rows]),
        Series("madrpc, per core in use", [(r["count"], _median(r, "of_cores")) for r in rows]),
        Series(
            "bare loops, no RPC",
            [
                (r["count"], _median(r, "bare_efficiency"))
                for r in rows
                if "bare_rate" in r["rounds"][0]
            ],
        ),
    ]
    cores = part["about"]["cpus"]
    return Chart(
        f"Efficiency against workers on {cores} cores, calls of 20 ms",
        "workers",
        "share of perfect scaling",
        series,
        doubling=True,
        percent=True,
        y_most=1.2,
    )


# ------------------------------------------------------------------ nodes


def _nodes(part: Mapping[str, Any]) -> str:
    rows = [
        (
            row["link"],
            str(row["count"]),
            _cell(_figure(row, "rate")),
            _cell(_figure(row, "efficiency"), percent=True),
            f"{_median(row, 'orchestrator_us'):.0f}",
            _cell(_figure(row, "link_bytes")),
        )
        for row in part["rows"]
    ]
    headings = (
        *("link to the nodes", "nodes", "calls/s", "efficiency", "orchestrator us/call"),
        "bytes/call on the link",
    )
    how = f"Links with delay were made by {part['link']}." if part["link"] else ""
    if part["skipped"]:
        how = f"Links with delay were not measured: {part['skipped']}."
    return "\n\n".join((_where(part), how, table(headings, rows)))


def _nodes_chart(part: Mapping[str, Any]) -> Chart:
    links = list(dict.fromkeys(row["link"] for row in part["rows"]))
    series = [
        Series(
            link,
            [(r["count"], _median(r, "efficiency")) for r in part["rows"] if r["link"] == link],
        )
        for link in links
    ]
    return Chart(
        "Efficiency against nodes, through one orchestrator",
        "simulated nodes with 4 workers each, 40 ms a call",
        "share of perfect scaling",
        series,
        doubling=True,
        percent=True,
        y_most=1.2,
    )


# ---------------------------------------------------------- orchestrators


def _orchestrators(part: Mapping[str, Any]) -> str:
    load = [
        (
            f"{row['clients']} x {row['each']}",
            *(_cell(_figure(row, "rate")), f"{_median(row, 'cores_used'):.0%}"),
            *(f"{_median(row, f'{who}_us'):.1f}" for who in ("orchestrator", "client", "nodes")),
        )
        for row in part["load"]
    ]
    apart = part["apart"]
    load.append(
        (
            f"{apart['count']} x 1, one process",
            *(_cell(_figure(apart, "rate")), f"{_median(apart, 'cores_used'):.0%}"),
            *(f"{_median(apart, f'{who}_us'):.1f}" for who in ("orchestrator", "client", "nodes")),
        )
    )
    latency = [
        (
            f"{row['share']:.0%}",
            _cell(_figure(row, "rate")),
            *(_cell(_figure(row, key), 2) for key in ("p50_ms", "p99_ms")),
        )
        for row in part["latency"]
    ]
    several = [
        (
            str(row["count"]),
            *(_cell(_figure(row, "rate")), f"{_median(row, 'cores_used'):.2f}"),
            *(f"{_median(row, f'{who}_us'):.1f}" for who in ("orchestrator", "client", "nodes")),
            f"{_median(row, 'computed_rate'):,.0f}",
        )
        for row in part["several"]
    ]
    each = ("orchestrator us/call", "client us/call", "simulation us/call")
    where, most = part["saturates"]
    return "\n\n".join(
        (
            _where(part),
            f"Measured: from {where} calls in flight on, more bring less than 3 % more: "
            f"{most:,.0f} calls/s. An orchestrator adds {added_ms(part):.2f} ms to a call that "
            "is alone.",
            table(("clients x in flight", "calls/s", "orchestrator, of a core", *each), load),
            table(("load", "calls/s", "p50 ms", "p99 ms"), latency),
            "The last column is computed and what the others allow on a machine with enough "
            "cores: orchestrators x 1 s / their processor time for a call.",
            table(("orchestrators", "calls/s", "their cores", *each, "calls/s, computed"), several),
        )
    )


def added_ms(part: Mapping[str, Any]) -> float:
    """Milliseconds that a call takes longer through an orchestrator, one at a time."""
    through = _median(part["load"][0], "rate")
    direct = Figure([each["rate"] for each in part["direct"]]).median
    return 1000 / through - 1000 / direct


def _several_chart(part: Mapping[str, Any]) -> Chart:
    cores = part["about"]["cpus"]
    names = ((f"measured on {cores} cores", "rate"), ("computed for enough cores", "computed_rate"))
    series = [
        Series(name, [(r["count"], _median(r, key)) for r in part["several"]])
        for name, key in names
    ]
    return Chart(
        "Throughput against orchestrators, calls that take no time",
        "orchestrators",
        "calls a second",
        series,
        doubling=True,
    )


def _latency_chart(part: Mapping[str, Any]) -> Chart:
    series = [
        Series(name, [(100 * r["share"], _median(r, key)) for r in part["latency"]])
        for name, key in (("median", "p50_ms"), ("99th percentile", "p99_ms"))
    ]
    return Chart(
        f"Latency against load, one orchestrator, {part['about']['cpus']} cores",
        f"calls a second asked for, in percent of {part['most']:,.0f}",
        "milliseconds",
        series,
        log_y=True,
    )


# ----------------------------------------------------------------- sizing


def _resources(part: Mapping[str, Any], orchestrators: Mapping[str, Any]) -> str:
    of, from_cost = "computed from the encoded frames", "computed from its time for a call"
    heads = f"{of} and the heads of three packets"
    apart = orchestrators["apart"]
    rows = (
        ("idle worker process", f"{part['worker_mib']:.1f} MiB", "measured"),
        ("node without its workers", f"{part['node_mib']:.1f} MiB", "measured"),
        ("orchestrator with one node", f"{part['orchestrator_mib']:.1f} MiB", "measured"),
        ("each further node", f"{part['mib_per_node'] * 1024:.0f} KiB", "measured"),
        ("each idle connection", f"{part['kib_per_connection']:.1f} KiB", "measured"),
        ("file descriptors of a node", f"{part['node_fds']:.0f}", "measured"),
        ("more for each worker", f"{part['worker_fds']:.0f}", "measured"),
        ("file descriptors of an orchestrator", f"{part['orchestrator_fds']:.0f}", "measured"),
        ("more for each node", f"{part['fds_per_node']:.0f}", "measured"),
        (
            "orchestrator's idle processor time for each node",
            f"{part['idle_us_per_node_s']:.0f} us/s",
            "measured",
        ),
        ("calls/s of one orchestrator", f"{orchestrators['most']:,.0f}", "measured"),
        (
            "the same on a core of its own",
            f"{_median(_busiest(orchestrators), 'computed_rate'):,.0f}",
            f"{from_cost}, {_median(_busiest(orchestrators), 'orchestrator_us'):.1f} us",
        ),
        (
            f"the same for calls one by one on {apart['count']} connections",
            f"{_median(apart, 'computed_rate'):,.0f}",
            f"{from_cost}, {_median(apart, 'orchestrator_us'):.1f} us",
        ),
        ("latency it adds to a call", f"{added_ms(orchestrators):.2f} ms", "measured"),
        ("bytes of a small call on each link", f"{part['call']:.0f}, both ways", of),
        ("probing for each node", f"{part['probe_bytes_per_s']:.0f} bytes/s", heads),
        ("registering for each node", f"{part['beat_bytes_per_s']:.0f} bytes/s", heads),
    )
    return "\n\n".join((_where(part), table(("what", "figure", "how it is known"), rows)))


def _busiest(part: Mapping[str, Any]) -> Mapping[str, Any]:
    """The step of rising load with the highest rate."""
    return max(part["load"], key=lambda row: _median(row, "rate"))


def _plan(part: Mapping[str, Any], orchestrators: Mapping[str, Any]) -> str:
    figures = {**part, "most": _median(orchestrators["apart"], "computed_rate")}
    plans = [plan(workers, length, figures) for length in _LENGTHS_S for workers in _SIZES]
    lines: dict[str, Callable[[Plan], str]] = {
        "calls/s": lambda p: f"{p.calls_per_s:,.0f}",
        "nodes": lambda p: f"{p.nodes:,}",
        "cells": lambda p: f"{p.cells:,}",
        "orchestrators": lambda p: f"{p.orchestrators:,}",
        "a node's memory": lambda p: f"{p.node_mib:,.0f} MiB",
        "a node's descriptors": lambda p: f"{p.node_fds:,}",
        "all nodes' memory": lambda p: f"{p.worker_gib:,.1f} GiB",
        "an orchestrator's memory": lambda p: f"{p.orchestrator_mib:,.0f} MiB",
        "an orchestrator's descriptors": lambda p: f"{p.orchestrator_fds:,}",
        "its calls": lambda p: f"{p.mbit_per_s:,.1f} Mbit/s",
        "its probes and registrations": lambda p: f"{p.background_kbit_per_s:,.1f} kbit/s",
        "its core for probes": lambda p: f"{p.idle_share:.2%}",
    }
    said = (
        f"Computed from the table above for machines of {CORES} cores with a worker on each, "
        f"orchestrators at {LOAD:.0%} of what one does on a core of its own with calls that "
        f"come one by one, at least two, and cells of at most {CELL_NODES} nodes."
    )
    headings = ["workers, and what a call takes"]
    headings += [f"{p.workers:,}, {1000 * p.call_s:,.0f} ms" for p in plans]
    rows = [[name, *map(show, plans)] for name, show in lines.items()]
    return "\n\n".join((said, table(headings, rows)))


# -------------------------------------------------------------- all of it


def blocks(parts: Mapping[str, Any]) -> dict[str, str]:
    """The content of each block for which there are figures, by its name."""
    found = {}
    if "workers" in parts:
        found["workers"] = _workers(parts["workers"])
    if "nodes" in parts:
        found["nodes"] = _nodes(parts["nodes"])
    if "orchestrators" in parts:
        found["orchestrators"] = _orchestrators(parts["orchestrators"])
        if "resources" in parts:
            found["figures"] = _resources(parts["resources"], parts["orchestrators"])
            found["plan"] = _plan(parts["resources"], parts["orchestrators"])
    return found


def charts(parts: Mapping[str, Any]) -> dict[str, str]:
    """SVG documents for which there are figures, by the name of their file."""
    makers = {
        "scale-workers.svg": ("workers", _workers_chart),
        "scale-nodes.svg": ("nodes", _nodes_chart),
        "scale-orchestrators.svg": ("orchestrators", _several_chart),
        "scale-latency.svg": ("orchestrators", _latency_chart),
    }
    return {name: draw(make(parts[part])) for name, (part, make) in makers.items() if part in parts}
