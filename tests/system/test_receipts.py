"""Where a call's time went: receipts, slow calls and errors that servers keep, traces in logs."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from madrpc import Client, JavaScriptError, NoNodeAvailable
from tests.servers import RunningServer, Servers, madrpc, poll_until, servers_in

SCRIPT = """
madrpc.register("spin", ({ms}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return ms;
});
madrpc.register("nest", ({ms}) => madrpc.call("spin", {ms}));
madrpc.register("sleep", ({ms}) => new Promise((resolve) => setTimeout(resolve, ms, "up")));
madrpc.register("say", ({text}) => { console.warn(text); return text; });
madrpc.register("say_later", async ({text}) => { await madrpc.call("say", {text}); });
madrpc.register("fail", ({n}) => { throw new RangeError("n is " + n); });
"""
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
TRACE = f"00-{TRACE_ID}-b7ad6b7169203331-01"


@dataclass
class Live:
    node: RunningServer
    orchestrator: RunningServer


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with servers_in(tmp_path_factory.mktemp("receipts")) as servers:
        words = ("--pool-size", 2, "--log-format", "json", "--log-level", "debug")
        node = servers.node("-s", servers.script(SCRIPT), *words)
        yield Live(node, servers.orchestrator(node, words=("--log-level", "debug")))


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    with Client(live.orchestrator.address, timeout=30) as made:
        yield made


@pytest.fixture
def direct(live: Live) -> Iterator[Client]:
    with Client(live.node.address, timeout=30) as made:
        yield made


# --------------------------------------------------------------------- receipts


@pytest.mark.parametrize("method", ["nest", "sleep"])
def test_waiting_for_others_is_parked(client: Client, method: str) -> None:
    _, receipt = client.call(method, {"ms": 60}, receipt=True)
    assert receipt.parked_ms > 55
    assert receipt.run_ms < receipt.parked_ms
    assert receipt.total_ms >= receipt.parked_ms


def test_waiting_for_a_worker_is_queue(direct: Client) -> None:
    replies = list(direct.map("spin", [{"ms": 60}] * 6, receipt=True))
    waited = sorted(receipt.queue_ms for _, receipt in replies)
    assert waited[-1] > 55


def test_more_threads_than_connections_get_receipts_too(live: Live) -> None:
    replies: list[Any] = []
    with Client(live.node.address, max_connections=1) as client:

        def call() -> None:
            replies.append(client.call("spin", {"ms": 20}, receipt=True))

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [reply.result for reply in replies] == [20] * 3
    assert all(reply.receipt.run_ms > 19 for reply in replies)


def test_a_call_stopped_at_its_deadline_was_with_its_worker(direct: Client) -> None:
    with pytest.raises(TimeoutError) as caught:
        direct.call("spin", {"ms": 60_000}, timeout=0.3, receipt=True)
    receipt = caught.value.receipt  # type: ignore[attr-defined]
    # The node stops the call, or the worker a moment before it; only a worker can tell the heap.
    assert receipt.run_ms > 100


def test_a_node_that_dies_is_an_attempt_and_a_worker_that_dies_is_not(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    words = ("-s", script, "--pool-size", 1, "--isolation", "context")
    nodes = [servers.node(*words) for _ in range(2)]
    orchestrator = servers.orchestrator(*nodes)
    with Client(orchestrator.address, timeout=30) as client:
        future = client.submit("sleep", {"ms": 1200}, receipt=True)

        def at() -> RunningServer | None:
            for row, node in zip(client.info()["nodes"], nodes, strict=True):
                if row["in_flight"]:
                    return node
            return None

        poll_until(at, "the call is at a node").send(signal.SIGKILL)
        assert future.result(20) == "up"
        receipt = future.receipt
        assert receipt is not None
        assert receipt.node is not None
        assert receipt.attempts == 2
        assert str(receipt).endswith("; 2 attempts")
        assert receipt.wire_ms is not None
        (row,) = [row for row in client.call("_recent")["slowest"] if row["method"] == "sleep"]
        assert (row["attempts"], row["node"]) == (2, receipt.node)
        again = client.submit("spin", {"ms": 1000}, receipt=True)
        pid = poll_until(lambda: _busy_worker(client, receipt.node), "a worker runs it")
        os.kill(pid, signal.SIGKILL)
        assert again.result(20) == 1000
        assert again.receipt is not None
        assert again.receipt.attempts == 1
        with Client(receipt.node) as survivor:
            own = survivor.call("_recent")["slowest"]
        assert [row["attempts"] for row in own if row["method"] == "spin"] == [2]


def _busy_worker(client: Client, node: str) -> int | None:
    for row in client.metrics()["nodes"]:
        if row["address"] == node and row["metrics"] is not None:
            for process in row["metrics"]["workers"]["processes"]:
                if process["state"] == "busy":
                    return int(process["pid"])
    return None


def test_without_any_node_the_receipt_says_so(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    with (
        Client(orchestrator.address) as client,
        pytest.raises(NoNodeAvailable) as caught,
    ):
        client.call("f", receipt=True)
    receipt = caught.value.receipt
    assert receipt is not None
    assert (receipt.node, receipt.orchestrator, receipt.attempts) == (None, orchestrator.address, 0)
    assert str(receipt).endswith("no node has told its part")


# ---------------------------------------------------------------------- _recent


def test_an_orchestrator_splits_its_slow_calls(client: Client, direct: Client, live: Live) -> None:
    client.call("spin", {"ms": 400}, trace=TRACE)
    row, *_ = client.call("_recent")["slowest"]
    assert (row["method"], row["node"], row["trace"]) == ("spin", live.node.address, TRACE_ID)
    assert row["run_ms"] > 399
    parts = [row[f"{part}_ms"] for part in ("queue", "context", "run", "parked", "wire")]
    assert sum(parts) == pytest.approx(row["total_ms"], abs=0.01)
    assert "id" not in row
    unsplit, *_ = client.call("_recent", {"nodes": False})["slowest"]
    assert (unsplit["run_ms"], unsplit["wire_ms"]) == (None, None)
    own = next(row for row in direct.call("_recent")["slowest"] if row["trace"] == TRACE_ID)
    assert (own["wire_ms"], own["outcome"]) == (None, "ok")
    assert type(own["id"]) is int


def test_errors_are_counted_with_those_of_nodes(client: Client, direct: Client) -> None:
    for caller, n in ((client, 41), (client, 41), (direct, 41), (direct, 42)):
        with pytest.raises(JavaScriptError):
            caller.call("fail", {"n": n}, trace=TRACE)
    rows = {row["message"]: row for row in client.call("_recent")["errors"]}
    both, alone = rows["RangeError: n is 41"], rows["RangeError: n is 42"]
    assert (both["count"], alone["count"]) == (3, 1)
    assert (alone["method"], alone["name"], alone["trace"]) == (
        "fail", "JavaScriptError", TRACE_ID,
    )  # fmt: skip
    assert "script.js:" in alone["stack"]


def test_a_node_that_does_not_answer_is_left_out(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    orchestrator = servers.orchestrator(node)
    with Client(orchestrator.address, timeout=10) as client:
        client.call("spin", {"ms": 20})
        node.send(signal.SIGSTOP)
        row, *_ = client.call("_recent")["slowest"]
        node.send(signal.SIGCONT)
    assert (row["method"], row["run_ms"]) == ("spin", None)


# ------------------------------------------------------------------------- logs


def json_lines(node: RunningServer, word: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, node.stderr().splitlines()) if word in line["event"]]


def test_what_a_traced_call_writes_and_how_it_fails_is_logged_with_its_trace(
    client: Client, live: Live
) -> None:
    client.call("say_later", {"text": "hello from inside"}, trace=TRACE)
    client.call("say", {"text": "no trace here"})
    with pytest.raises(JavaScriptError):
        client.call("fail", {"n": 77}, trace=TRACE)
    (line,) = poll_until(lambda: json_lines(live.node, "hello from inside"), "it is logged")
    assert {"ts", "level", "event"} <= line.keys()
    assert (line["level"], line["method"], line["trace"]) == ("warning", "say", TRACE_ID)
    (plain,) = poll_until(lambda: json_lines(live.node, "no trace here"), "it is logged")
    assert "trace" not in plain
    (failed,) = poll_until(lambda: json_lines(live.node, "n is 77"), "it is logged")
    assert (failed["method"], failed["trace"]) == ("fail", TRACE_ID)
    text = live.orchestrator.stderr()
    assert re.search(rf"DEBUG fail failed: .* n is 77 trace={TRACE_ID}$", text, re.M)


# ----------------------------------------------------------------- command line


def test_call_tells_its_time_on_stderr(live: Live) -> None:
    words = ("call", live.orchestrator.address)
    done = madrpc(*words, "spin", "ms=20", "--time", "--trace", TRACE)
    assert (done.returncode, done.stdout) == (0, "20\n")
    form = r"time [\d.]+ ms = wire [\d.]+ \+ queue [\d.]+ \+ context [\d.]+ \+ run [\d.]+; "
    assert re.fullmatch(form + rf"node {live.node.address}, script\.js@\w{{8}}\n", done.stderr)
    failed = madrpc(*words, "fail", "n=1", "--time")
    assert failed.returncode == 1
    assert re.match(r"time .* run .*\nmadrpc: RangeError: n is 1\n", failed.stderr)
    wrong = madrpc(*words, "spin", "--trace", "00-abc")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'00-abc' is no W3C traceparent; write 00-<32 hex>-<16 hex>-<2 hex>" in wrong.stderr


def test_map_adds_the_times_up(live: Live) -> None:
    words = ("map", live.orchestrator.address, "spin", "--arg", "ms", "--time", "-q")
    done = madrpc(*words, "--keep-going", input="10\n20\n30\n")
    assert (done.returncode, done.stdout) == (0, "10\n20\n30\n")
    form = r"time 3 calls, run ([\d.]+) ms, queue [\d.]+ ms, wire [\d.]+ ms; (\S+) 3\n"
    found = re.fullmatch(form, done.stderr)
    assert found is not None
    assert (float(found[1]) > 50, found[2]) == (True, live.node.address)
