"""Calls through real clusters, and what a cluster survives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from madrpc import Client, JavaScriptError, MethodNotFound, NoNodeAvailable, WorkerCrashed
from tests.servers import EXAMPLES, ROOT, RunningServer, Servers, environment, poll_until, runs

ADD = """
madrpc.register("add", ({a, b}) => ({result: a + b}));
madrpc.register("spin", ({ms, tag}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return tag;
});
"""


def cluster(servers: Servers, *, nodes: int = 2, pool: int = 2) -> RunningServer:
    script = servers.script(ADD)
    running = [servers.node("-s", script, "--pool-size", pool) for _ in range(nodes)]
    orchestrator: RunningServer = servers.orchestrator(*running)
    return orchestrator


def test_many_calls_are_right_and_leave_nothing_behind(servers: Servers) -> None:
    orchestrator = cluster(servers)
    watched = servers.started

    def run(count: int) -> None:
        items = ({"a": i, "b": 1} for i in range(count))
        with Client(orchestrator.address) as client:
            results = [answer["result"] for answer in client.map("add", items, concurrency=64)]
        assert results == list(range(1, count + 1))

    run(4_000)
    with Client(orchestrator.address) as client:
        poll_until(lambda: client.metrics()["connections"] == 1, "connections closed")
        fds = [server.fds() for server in watched]
        memory = [server.rss() for server in watched]
        run(20_000)
        poll_until(lambda: client.metrics()["connections"] == 1, "connections closed")
        metrics = client.metrics()
    assert metrics["in_flight"] == metrics["queued"] == 0
    assert metrics["methods"]["add"]["calls"] == 24_000
    assert metrics["methods"]["add"]["errors"] == 0
    for server, before in zip(watched, fds, strict=True):
        poll_until(lambda s=server, most=before: s.fds() <= most, f"{server.pid} closed its fds")
    for server, before in zip(watched, memory, strict=True):
        assert server.rss() - before < 8 * 2**20


def test_no_greenlet_outlives_its_connection(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 2)
    probe = subprocess.Popen(
        [sys.executable, "-m", "tests.system.greenlet_probe", node.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    with probe:
        assert probe.stdin is not None
        assert probe.stdout is not None
        address = probe.stdout.readline().strip()

        def greenlets() -> int:
            assert probe.stdin is not None
            assert probe.stdout is not None
            probe.stdin.write("count\n")
            probe.stdin.flush()
            return int(probe.stdout.readline())

        baseline = greenlets()
        for _ in range(3):
            with Client(address) as client:
                assert len(list(client.map("add", [{"a": 1, "b": 2}] * 500))) == 500
                client.metrics()
        poll_until(lambda: greenlets() <= baseline, "greenlets back at the baseline")
        probe.stdin.close()
        assert probe.wait(20) == 0


def test_every_worker_of_every_node_takes_part(servers: Servers) -> None:
    orchestrator = cluster(servers, pool=3)
    with Client(orchestrator.address) as client:

        def ready() -> list[int]:
            nodes = client.metrics()["nodes"]
            return [node["metrics"]["workers"]["ready"] for node in nodes if node["metrics"]]

        poll_until(lambda: ready() == [3, 3], "all workers are there")
        list(client.map("spin", [{"ms": 20}] * 60, concurrency=60))
        nodes = client.metrics()["nodes"]
    calls = [row["calls"] for node in nodes for row in node["metrics"]["workers"]["processes"]]
    assert len(calls) == 6
    assert sum(calls) == 60
    assert min(calls) > 0


def test_a_call_survives_the_death_of_its_worker(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 1)
    with Client(node.address) as client, ThreadPoolExecutor(1) as threads:
        pids = node.worker_pids()
        answer = threads.submit(client.call, "spin", {"ms": 700, "tag": "right"})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert answer.result(20) == "right"
        poll_until(lambda: client.metrics()["workers"]["ready"] == 1, "the pool is whole", 2)
        assert node.worker_pids() != pids


def test_a_call_that_kills_two_workers_is_given_up(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 1)
    with Client(node.address) as client, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(client.call, "spin", {"ms": 20_000})
        killed: set[int] = set()

        def kill_the_busy_worker() -> bool:
            for row in client.metrics()["workers"]["processes"]:
                if row["state"] == "busy" and row["pid"] not in killed:
                    os.kill(row["pid"], signal.SIGKILL)
                    killed.add(row["pid"])
            return len(killed) == 2

        poll_until(kill_the_busy_worker, "two workers killed")
        with pytest.raises(WorkerCrashed, match="SIGKILL") as caught:
            answer.result(20)
        assert caught.value.data["signal"] == signal.SIGKILL
        assert client.call("add", {"a": 1, "b": 2}) == {"result": 3}


def test_an_idle_worker_that_dies_is_replaced_unseen(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 2)
    with Client(node.address) as client:
        before = set(node.worker_pids())
        os.kill(min(before), signal.SIGKILL)
        for i in range(50):
            assert client.call("add", {"a": i, "b": 0}) == {"result": i}
        poll_until(lambda: client.metrics()["workers"]["ready"] == 2, "the pool is whole", 2)
        assert set(node.worker_pids()) != before


def test_the_calls_of_a_killed_node_move_to_the_other(servers: Servers) -> None:
    orchestrator = cluster(servers, pool=4)
    victim = servers.started[0]
    with Client(orchestrator.address) as client:
        futures = [client.submit("spin", {"ms": 60, "tag": i}) for i in range(64)]
        poll_until(lambda: client.metrics()["in_flight"] == 64, "64 calls in flight")
        victim.send(signal.SIGKILL)
        assert [future.result(30) for future in futures] == list(range(64))
        assert client.metrics()["retries"] > 0
        states = {node["address"]: node["state"] for node in client.info()["nodes"]}
        assert states[victim.address] == "down"


def test_a_node_that_comes_back_is_used_again(servers: Servers) -> None:
    orchestrator = cluster(servers, nodes=1)
    (node,) = servers.started[:1]
    with Client(orchestrator.address) as client:
        assert client.call("add", {"a": 1, "b": 1}) == {"result": 2}
        assert node.stop() == 0
        with pytest.raises(NoNodeAvailable, match="0 of 1 nodes up"):
            client.call("add", {"a": 1, "b": 1})
        servers.node("-s", servers.folder / "script.js", "-b", node.address)
        poll_until(lambda: client.info()["state"] == "up", "the orchestrator found the node")
        assert client.call("add", {"a": 1, "b": 1}) == {"result": 2}


def test_different_nodes_may_run_different_scripts(servers: Servers) -> None:
    one = servers.script('madrpc.register("one", () => 1); madrpc.register("both", () => "a")')
    two = servers.script('madrpc.register("two", () => 2)', "two.js")
    orchestrator = servers.orchestrator(
        servers.node("-s", one, "--pool-size", 1),
        servers.node("-s", two, "--pool-size", 1),
    )
    with Client(orchestrator.address) as client:
        for _ in range(10):
            assert (client.call("one"), client.call("two"), client.call("both")) == (1, 2, "a")
        assert client.methods() == ["both", "one", "two"]
        with pytest.raises(MethodNotFound, match="did you mean 'both'") as caught:
            client.call("boht")
        assert caught.value.data["similar"] == ["both"]


def test_several_scripts_on_one_node(servers: Servers) -> None:
    one = servers.script('const x = 1; madrpc.register("one", () => x)')
    two = servers.script('const x = 2; madrpc.register("two", () => x)', "two.js")
    node = servers.node("-s", one, two, "--pool-size", 1)
    with Client(node.address) as client:
        assert [client.call(name) for name in ("one", "two", "one")] == [1, 2, 1]


def test_a_throw_names_the_scripts_file_and_line(servers: Servers) -> None:
    script = servers.script(
        '\nfunction f() { throw new TypeError("no"); }\nmadrpc.register("f", f)'
    )
    orchestrator = servers.orchestrator(servers.node("-s", script, "--pool-size", 1))
    with Client(orchestrator.address) as client, pytest.raises(JavaScriptError) as caught:
        client.call("f")
    assert caught.value.message == "TypeError: no"
    assert caught.value.js_name == "TypeError"
    assert "at f (script.js:2:" in caught.value.stack


def test_a_killed_node_leaves_no_worker(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 3)
    pids = poll_until(lambda: len(p := node.worker_pids()) == 3 and p, "three workers")
    workers = [psutil.Process(pid) for pid in pids]
    with Client(node.address) as client:
        busy = client.submit("spin", {"ms": 20_000})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        node.send(signal.SIGKILL)
        poll_until(lambda: not any(map(runs, workers)), "the workers are gone", 2)
        busy.cancel()


def test_the_deadline_stops_a_function(servers: Servers) -> None:
    orchestrator = cluster(servers, nodes=1, pool=1)
    with Client(orchestrator.address) as client:
        with pytest.raises(TimeoutError):
            client.call("spin", {"ms": 60_000}, timeout=0.3)
        assert client.call("add", {"a": 2, "b": 2}, timeout=5) == {"result": 4}


def test_cancelling_frees_the_worker(servers: Servers) -> None:
    orchestrator = cluster(servers, nodes=1, pool=1)
    with Client(orchestrator.address) as client:
        future = client.submit("spin", {"ms": 60_000})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        assert future.cancel()
        assert client.call("add", {"a": 2, "b": 2}, timeout=10) == {"result": 4}


def test_a_full_queue_refuses_at_once(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ADD), "--pool-size", 1, "--queue-size", 2)
    with Client(node.address) as client:
        held = [client.submit("spin", {"ms": 3_000, "tag": i}) for i in range(3)]
        poll_until(lambda: client.metrics()["queued"] == 2, "the queue is full")
        errors = client.map("spin", [{"ms": 1}], return_errors=True, timeout=1)
        (error,) = errors
        assert error.name == "Overloaded"
        assert error.data["retry_after_ms"] > 0
        assert [future.result(30) for future in held] == [0, 1, 2]


def test_large_values_cross_unharmed(servers: Servers) -> None:
    script = servers.script('madrpc.register("echo", (x) => x)')
    orchestrator = servers.orchestrator(servers.node("-s", script, "--pool-size", 1))
    value = {"text": "é🙂\0\\" * 300_000, "numbers": list(range(100_000)), "deep": [[[[{}]]]]}
    with Client(orchestrator.address) as client:
        assert client.call("echo", value) == value


def test_a_drained_node_finishes_and_hands_over(servers: Servers) -> None:
    orchestrator = cluster(servers, pool=2)
    leaving = servers.started[0]
    statuses: list[int] = []
    with Client(orchestrator.address) as client:
        futures = [client.submit("spin", {"ms": 300, "tag": i}) for i in range(20)]
        poll_until(lambda: client.metrics()["in_flight"] == 20, "20 calls in flight")
        stopping = threading.Thread(target=lambda: statuses.append(leaving.stop()))
        stopping.start()
        later = [client.submit("spin", {"ms": 5, "tag": i}) for i in range(20)]
        assert [future.result(30) for future in futures] == list(range(20))
        assert [future.result(30) for future in later] == list(range(20))
        stopping.join()
    assert statuses == [0]


def test_the_monte_carlo_example(servers: Servers) -> None:
    done = subprocess.run(
        [sys.executable, EXAMPLES / "monte_carlo_pi.py", "--local", "2", "--samples", "20000"],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=servers.folder,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("Node ") for line in lines) == 50
    (estimate,) = [line for line in lines if line.startswith("Pi estimate: ")]
    assert abs(float(estimate.split()[-1]) - 3.14159265) < 0.01
    assert "=== Results ===" in lines


def test_the_monte_carlo_counts_are_those_of_exact_arithmetic(servers: Servers) -> None:
    node = servers.node("-s", EXAMPLES / "monte_carlo_pi.js", "--pool-size", 1)
    with Client(node.address) as client:
        for seed in (0, 7, 2**31 - 1):
            answer = client.call("monte_carlo_sample", {"samples": 2_000, "seed": seed})
            assert answer == {"inside": _exact_inside(2_000, seed), "total": 2_000}


def test_the_basic_operations_example(servers: Servers) -> None:
    node = servers.node("-s", EXAMPLES / "basic_operations.js", "--pool-size", 1)
    done = subprocess.run(
        [sys.executable, EXAMPLES / "simple_test.py", node.address],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAIL" not in done.stdout


def _exact_inside(samples: int, seed: int) -> int:
    modulus = 2**31
    state, inside = seed % modulus, 0
    for _ in range(samples):
        x = state = (state * 1103515245 + 12345) % modulus
        y = state = (state * 1103515245 + 12345) % modulus
        inside += x * x + y * y <= modulus * modulus
    return inside
