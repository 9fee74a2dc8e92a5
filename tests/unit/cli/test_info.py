"""``madrpc info`` as a person reads it."""

from __future__ import annotations

from typing import Any

from madrpc.cli.info import info_lines


def node(port: int, code: str = "aa", **facts: Any) -> dict[str, Any]:
    scripts = [{"name": "pi.js", "sha256": code * 32}] if code else []
    return {
        "address": f"10.0.0.1:{port}", "state": "up", "error": "", "calls": 7, "workers": 4,
        "version": "1.0", "scripts": scripts, **facts,
    }  # fmt: skip


def lines(*nodes: dict[str, Any], methods: tuple[str, ...] = ("add",), width: Any = None) -> Any:
    info = {
        "role": "orchestrator", "address": "10.0.0.9:8080", "version": "1.0", "state": "up",
        "uptime_s": 93_784.0, "workers": 8, "methods": list(methods), "nodes": list(nodes),
    }  # fmt: skip
    return info_lines(info, width)


def test_nodes_are_a_table() -> None:
    assert lines(node(9), node(10, state="down", error="connection refused", code="")) == [
        "orchestrator at 10.0.0.9:8080  madrpc 1.0  up for 1d02h  workers 8",
        "NODE         STATE  WORKERS  CALLS  VERSION  SCRIPTS",
        "10.0.0.1:9   up     4        7      1.0      pi.js@aaaaaaaa",
        "10.0.0.1:10  down   4        7      1.0      -",
        "  connection refused",
        "methods  add",
    ]


def test_a_node_names_its_own_scripts() -> None:
    info = {
        "role": "node", "address": "10.0.0.9:1", "version": "1.0", "state": "up", "uptime_s": 61.0,
        "workers": 2, "methods": [], "scripts": [{"name": "pi.js", "sha256": "ab" * 32}],
    }  # fmt: skip
    assert info_lines(info, None) == [
        "node at 10.0.0.9:1  madrpc 1.0  up for 1m01s  workers 2",
        "script   pi.js@abababab",
        "methods  none",
    ]


def test_mixed_code_and_versions_are_warned_of() -> None:
    found = lines(node(1), node(2), node(3, "bb", version="1.1"), node(4, "cc", state="down"))
    assert found[-3:-1] == [
        "warning: nodes run different code of pi.js: aaaaaaaa (2), bbbbbbbb (1)",
        "warning: nodes run different versions of madrpc: 1.0 (2), 1.1 (1)",
    ]


def test_nodes_with_different_scripts_are_as_they_should_be() -> None:
    other = node(2, scripts=[{"name": "sum.js", "sha256": "bb" * 32}])
    assert not any("warning" in line for line in lines(node(1), other))


def test_a_cluster_without_nodes_says_how_to_get_some() -> None:
    assert lines()[1] == "no nodes; give some with -n, or let them register"


def test_many_methods_are_wrapped_and_nothing_steers_the_terminal() -> None:
    found = lines(methods=tuple(f"name-{n}" for n in range(300)), width=80)
    assert max(map(len, found)) <= 80
    assert found[-1].startswith("         name-")
    assert lines(node(1, error="\x1b[31mred\nline"))[3] == "  ?[31mred line"
