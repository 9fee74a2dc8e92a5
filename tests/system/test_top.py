"""``madrpc top`` as a command: on a terminal, as text, as JSON."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from madrpc import Client, MadrpcError
from tests.servers import (
    RunningServer,
    Servers,
    command,
    environment,
    madrpc,
    require_textual,
    servers_in,
)
from tests.terminal import Terminal, on_terminal

SCRIPT = """
madrpc.register("add", ({a, b}) => a + b);
madrpc.register("fail", () => { throw new RangeError("no"); });
madrpc.register("never", () => 1);
"""
LEFT_SCREEN = b"\x1b[?1049l"
#: A coloured letter or background, in any of the ways to say it; bold and reverse are none.
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    """Two nodes and their orchestrator, with calls that never end."""
    with servers_in(tmp_path_factory.mktemp("top")) as servers:
        script = servers.script(SCRIPT)
        nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
        orchestrator = servers.orchestrator(*nodes)
        done = threading.Event()
        load = threading.Thread(target=keep_calling, args=(orchestrator.address, done))
        load.start()
        try:
            yield [*nodes, orchestrator]
        finally:
            done.set()
            load.join()


def keep_calling(address: str, done: threading.Event) -> None:
    with Client(address) as client:
        while not done.is_set():
            for method, args in (("add", {"a": 1, "b": 2}), ("fail", {})):
                try:
                    client.call(method, args)
                except MadrpcError:
                    pass
            done.wait(0.005)


def top(*words: object) -> list[str]:
    return command("top", *words)


def watching(*words: object, **settings: Any) -> Any:
    require_textual()
    return on_terminal(top(*words), **settings)


# ------------------------------------------------------------------- text


def test_once_shows_an_orchestrator(cluster: list[RunningServer]) -> None:
    done = madrpc("top", cluster[2].address, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"madrpc top {cluster[2].address}  orchestrator  up" in done.stdout
    for wanted in ("Nodes 2/2 up", "Methods 3", "never", "JavaScriptError"):
        assert wanted in done.stdout
    for server in cluster[:2]:
        (row,) = [line for line in done.stdout.splitlines() if line.startswith(server.address)]
        assert row.split()[1] == "up"
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("add ")]
    assert float(row.split()[1]) > 0
    assert row.split()[2].endswith("ms")
    assert "\x1b" not in done.stdout


def test_once_shows_a_node(cluster: list[RunningServer]) -> None:
    done = madrpc("top", cluster[0].address, "--once", "-i", 10)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  node  up" in done.stdout
    assert "Nodes 1/1 up" in done.stdout


def test_text_fits_the_columns_it_is_given(cluster: list[RunningServer]) -> None:
    for columns in (40, 80, 160):
        done = subprocess.run(
            top(cluster[2].address, "--once"), capture_output=True, text=True, timeout=60,
            env=environment(COLUMNS=str(columns)),
        )  # fmt: skip
        assert done.returncode == 0
        assert max(map(len, done.stdout.splitlines())) <= columns


def test_text_for_an_ascii_terminal(cluster: list[RunningServer]) -> None:
    done = subprocess.run(
        top(cluster[2].address, "--once"), capture_output=True, timeout=60,
        env=environment(PYTHONIOENCODING="ascii"),
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert b"NODE^" in done.stdout


def test_once_as_json(cluster: list[RunningServer]) -> None:
    done = madrpc("top", cluster[2].address, "--once", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["connected"] is True
    assert (found["role"], found["state"], found["workers"]["size"]) == ("orchestrator", "up", 2)
    assert found["seconds"] >= 0.24
    assert found["calls_per_s"] > 0
    assert 0.4 < found["error_share"] < 0.6
    assert 0 < found["p50_ms"] <= found["p95_ms"] <= found["p99_ms"]
    assert [row["address"] for row in found["nodes"]] == [s.address for s in cluster[:2]]
    for row in found["nodes"]:
        assert row["rss_bytes"] > 0
        assert row["cpu_percent"] >= 0
        assert row["scripts"][0]["name"] == "script.js"
    methods = {row["name"]: row for row in found["methods"]}
    assert methods["fail"]["errors_by_name"]["JavaScriptError"] == methods["fail"]["errors"] > 0
    assert (methods["never"]["calls"], methods["never"]["p50_ms"]) == (0, None)


def test_json_goes_on_until_its_reader_leaves(cluster: list[RunningServer]) -> None:
    with subprocess.Popen(
        top(cluster[2].address, "--json", "-i", 20), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        found = [json.loads(process.stdout.readline()) for _ in range(5)]
        assert all(row["connected"] for row in found)
        assert [row["calls"] for row in found] == sorted(row["calls"] for row in found)
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""


def test_blocks_follow_each_other_until_ctrl_c(cluster: list[RunningServer]) -> None:
    with subprocess.Popen(
        top(cluster[2].address, "-i", 50), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        titles = 0
        for line in process.stdout:
            titles += line.startswith("madrpc top")
            if titles == 3:
                break
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 130


@pytest.mark.parametrize("words", [("--once",), ("--json",), ("--once", "--json"), ("--plain",)])
def test_nothing_listens(words: tuple[str, ...]) -> None:
    done = madrpc("top", "127.0.0.1:1", *words)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("madrpc: ConnectionFailed: ")


@pytest.mark.parametrize("interval", ["0", "x", "9", "-5", "1e3"])
def test_intervals_that_make_no_sense(interval: str) -> None:
    done = madrpc("top", "127.0.0.1:1", f"--interval={interval}")
    assert done.returncode == 2
    assert "milliseconds from 10 to 3600000" in done.stderr


def test_json_tells_of_a_server_that_is_gone(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with subprocess.Popen(
        top(node.address, "--json", "-i", 50), stdout=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["connected"]
        node.stop(signal.SIGKILL)
        gone = next(row for row in map(json.loads, process.stdout) if not row["connected"])
        assert gone["address"] == node.address
        assert gone["error"]
        again = servers.start("node", "-b", node.address, "-s", servers.folder / "script.js")
        assert again.address == node.address
        assert next(row for row in map(json.loads, process.stdout) if row["connected"])
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(20) == 130


@pytest.mark.parametrize("words", [["-c", "import madrpc"], ["-m", "madrpc", "--help"],
                                   ["-m", "madrpc", "top", "--help"]])  # fmt: skip
def test_textual_is_loaded_for_the_screen_only(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], capture_output=True, text=True,
        env=environment(), timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "argparse" in done.stderr or "import madrpc" in words
    assert not re.search(r"\b(textual|rich|gevent)\b", done.stderr)


# ---------------------------------------------------------- plain terminal


def test_plain_text_is_painted_over(cluster: list[RunningServer]) -> None:
    with on_terminal(top(cluster[2].address, "--plain", "-i", 50), 60, 16) as terminal:
        terminal.shows("Nodes 2/2 up", "Methods 3", "add")
        terminal.until(lambda: terminal.output.count(b"\x1b[H") > 4, "it is painted over")
        assert terminal.text.count("Nodes") == 1
        assert not COLOUR.search(terminal.output)
        terminal.type("\x03")
        assert terminal.ends() == 130


def test_a_dumb_terminal_gets_plain_text(cluster: list[RunningServer]) -> None:
    with on_terminal(top(cluster[2].address, "-i", 50), TERM="dumb") as terminal:
        terminal.shows("Nodes 2/2 up")
        assert b"\x1b" not in terminal.output
        terminal.type("\x03")
        assert terminal.ends() == 130


def test_without_textual_there_is_plain_text_and_a_hint(cluster: list[RunningServer]) -> None:
    code = (
        "import sys; sys.modules['textual'] = None; "
        "from madrpc.__main__ import main; sys.exit(main())"
    )
    words = [sys.executable, "-c", code, "top", cluster[2].address, "-i", "100"]
    with on_terminal(words) as terminal:
        terminal.shows("Nodes 2/2 up")
        assert b"pip install 'madrpc[top]'" in terminal.output
        terminal.type("\x03")
        assert terminal.ends() == 130


# ------------------------------------------------------------- full screen


def test_the_screen_follows_the_size_of_the_terminal(cluster: list[RunningServer]) -> None:
    with watching(cluster[2].address, "-i", 100) as terminal:
        before = terminal.modes
        text = terminal.shows("Nodes 2/2 up", "add", "q quit", "ms")
        assert "p95" in text
        for columns, rows in ((160, 50), (40, 15), (100, 30)):
            terminal.resize(columns, rows)
            terminal.screen.reset()
            terminal.until(
                lambda last=rows - 1: (
                    terminal.screen.display[last].startswith("h help")
                    and "Methods 3" in terminal.text
                ),
                "the keys stand in the last line",
            )
        terminal.type("q")
        assert terminal.ends() == 0
        assert LEFT_SCREEN in terminal.output
        assert b"Traceback" not in terminal.output
        assert terminal.modes[3] == before[3]


@pytest.mark.parametrize(
    ("stop", "status"),
    [("key", 130), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
    ids=["ctrl-c", "SIGINT", "SIGTERM"],
)
def test_however_it_ends_the_terminal_is_left_in_order(
    cluster: list[RunningServer], stop: Any, status: int
) -> None:
    with watching(cluster[0].address) as terminal:
        terminal.shows("Nodes 1/1 up")
        if stop == "key":
            terminal.type("\x03")
        else:
            terminal.process.send_signal(stop)
        assert terminal.ends() == status
        assert LEFT_SCREEN in terminal.output
        assert b"Traceback" not in terminal.output


def test_no_color(cluster: list[RunningServer]) -> None:
    with watching(cluster[2].address, NO_COLOR="1") as terminal:
        terminal.shows("Nodes 2/2 up", "add")
        terminal.type("h")
        terminal.shows("the other table")
        assert not COLOUR.search(terminal.output)
        terminal.type("\x1b")
        terminal.shows_no("the other table")
        terminal.type("q")
        assert terminal.ends() == 0


def test_a_server_that_is_killed_and_comes_back(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    node = servers.node("-s", script, "--pool-size", 1)
    with watching(node.address, "-i", 50) as terminal:
        terminal.shows("Nodes 1/1 up")
        node.stop(signal.SIGKILL)
        terminal.shows("disconnected, trying again")
        terminal.type("p")
        terminal.type("p")
        servers.start("node", "-b", node.address, "-s", script, "--pool-size", 1)
        terminal.shows_no("disconnected")
        terminal.shows("Nodes 1/1 up")
        terminal.type("q")
        assert terminal.ends() == 0


def test_quitting_does_not_wait_for_a_server_that_hangs(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with watching(node.address, "-i", 50) as terminal:
        terminal.shows("Nodes 1/1 up")
        node.send(signal.SIGSTOP)
        terminal.shows("disconnected, trying again", timeout_s=30)
        terminal.type("q")
        assert terminal.ends() == 0
        node.send(signal.SIGCONT)


def drained(terminal: Terminal, node: RunningServer) -> None:
    terminal.type("d")
    terminal.shows("drain this node?", f"{node.address} takes no new calls")
    terminal.type("y")
    terminal.shows("drains: it ends its calls and stops")
    assert node.process.wait(20) == 0


def test_a_node_is_drained_through_its_orchestrator(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
    orchestrator = servers.orchestrator(*nodes)
    with watching(orchestrator.address, "-i", 50) as terminal:
        terminal.shows("Nodes 2/2 up")
        first = min(nodes, key=lambda each: each.port)
        drained(terminal, first)
        terminal.shows("Nodes 1/2 up", "down")
        terminal.type("\r")
        terminal.shows("connection refused")
        terminal.type("\x03")
        assert terminal.ends() == 130


def test_a_node_that_is_watched_itself_is_drained(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with watching(node.address, "-i", 50) as terminal:
        terminal.shows("Nodes 1/1 up")
        drained(terminal, node)
        terminal.shows("disconnected, trying again")
        terminal.type("q")
        assert terminal.ends() == 0
