"""Functions that call functions: parked calls, limits, failures, in both kinds of isolation."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from madrpc import CallTimeout, Client, JavaScriptError
from tests.servers import EXAMPLES, RunningServer, Servers, poll_until, servers_in

SCRIPT = """
madrpc.register("add", ({a, b}) => ({result: a + b}));
madrpc.register("spin", ({ms}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return ms;
});
madrpc.register("fan", async ({n}) => {
  const answers = await Promise.all(Array.from({length: n}, (_, i) =>
    madrpc.call("add", {a: i, b: 1})));
  return answers.reduce((sum, {result}) => sum + result, 0);
});
madrpc.register("deep", async ({n}) => n === 0 ? 0 : 1 + await madrpc.call("deep", {n: n - 1}));
madrpc.register("tree", async ({n, w}) => n === 0 ? 1 : (await Promise.all(
  Array.from({length: w}, () => madrpc.call("tree", {n: n - 1, w})))).reduce((a, b) => a + b, 0));
madrpc.register("caught", async ({name, args}) => {
  try { return await madrpc.call(name, args); }
  catch (e) { return {error: e instanceof Error, name: e.name, code: e.code, message: e.message}; }
});
madrpc.register("uncaught", () => madrpc.call("nothing", {}));
madrpc.register("fail", () => { throw new RangeError("inner"); });
madrpc.register("wait", ({ms}) => madrpc.call("spin", {ms}));
madrpc.register("misuse", () => madrpc.call(5));
madrpc.register("twice", async () => {
  const first = await madrpc.call("add", {a: 1, b: 1});
  const state = globalThis.touched; globalThis.touched = true;
  const second = await madrpc.call("add", {a: first.result, b: 1});
  return [state === undefined, second.result];
});
"""


@pytest.fixture(scope="module", params=["context", "snapshot"])
def one_worker(request, tmp_path_factory) -> Iterator[RunningServer]:  # type: ignore[no-untyped-def]
    """A node with a pool of one."""
    with servers_in(tmp_path_factory.mktemp("nested")) as servers:
        yield servers.node(
            "-s", servers.script(SCRIPT), "--pool-size", 1, "--isolation", request.param
        )


@pytest.fixture
def client(one_worker: RunningServer) -> Iterator[Client]:
    with Client(one_worker.address, timeout=30) as made:
        yield made


def test_a_pool_of_one_runs_any_nesting(client: Client) -> None:
    assert client.call("deep", {"n": 31}) == 31
    assert client.call("tree", {"n": 3, "w": 5}) == 125
    assert client.call("twice") == [True, 3]


def test_a_wide_fan_out(client: Client) -> None:
    assert client.call("fan", {"n": 1_000}) == 500_500


def test_many_callers_of_nested_functions(client: Client) -> None:
    assert list(client.map("fan", [{"n": 10}] * 100)) == [55] * 100


@pytest.mark.parametrize(
    ("name", "args", "expected"),
    [
        ("nothing", {}, {"name": "MethodNotFound", "code": -32601}),
        ("fail", {}, {"name": "JavaScriptError", "message": "RangeError: inner"}),
        ("deep", {"n": 40}, {"message": "NestedCallLimit: functions call functions more than 32"}),
    ],
)
def test_a_failed_inner_call_rejects(client: Client, name: str, args: object, expected) -> None:  # type: ignore[no-untyped-def]
    caught = client.call("caught", {"name": name, "args": args})
    assert caught["error"] is True
    for key, value in expected.items():
        assert str(caught[key]).startswith(str(value))


def test_an_uncaught_rejection_is_the_callers_error(client: Client) -> None:
    with pytest.raises(JavaScriptError, match="MethodNotFound: no function is called 'nothing'"):
        client.call("uncaught")
    with pytest.raises(JavaScriptError, match="name must be a string"):
        client.call("misuse")


def test_too_wide_is_refused(client: Client) -> None:
    with pytest.raises(JavaScriptError, match="NestedCallLimit: a call may wait for 10000"):
        client.call("fan", {"n": 10_001})
    assert client.call("add", {"a": 1, "b": 2}) == {"result": 3}


def test_the_deadline_reaches_inner_calls(client: Client) -> None:
    with pytest.raises(CallTimeout):
        client.call("wait", {"ms": 60_000}, timeout=0.4)
    assert client.call("add", {"a": 1, "b": 2}) == {"result": 3}


def test_cancelling_the_outer_call_cancels_the_inner_one(client: Client) -> None:
    future = client.submit("wait", {"ms": 60_000})
    poll_until(lambda: client.metrics()["workers"]["parked"] == 1, "the outer call is parked")
    assert future.cancel()
    assert client.call("add", {"a": 1, "b": 2}, timeout=10) == {"result": 3}
    poll_until(lambda: client.metrics()["workers"]["parked"] == 0, "nothing is parked")


def test_a_waiting_call_holds_no_worker(client: Client) -> None:
    held = [client.submit("wait", {"ms": 100}) for _ in range(5)]
    assert [future.result(20) for future in held] == [100] * 5
    assert client.call("add", {"a": 1, "b": 2}) == {"result": 3}


@pytest.mark.parametrize("isolation", ["context", "snapshot"])
def test_parked_neighbours_of_a_killed_worker_run_again(servers: Servers, isolation: str) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1, "--isolation", isolation)
    with Client(node.address) as client:
        outer = [client.submit("wait", {"ms": 300}) for _ in range(3)]
        poll_until(lambda: client.metrics()["workers"]["parked"] == 1, "a call is parked")
        rows = client.metrics()["workers"]["processes"]
        os.kill(next(row["pid"] for row in rows if row["state"] == "busy"), signal.SIGKILL)
        assert [future.result(20) for future in outer] == [300] * 3


def test_nested_calls_spread_over_nodes(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    orchestrator = servers.orchestrator("127.0.0.1:1")
    port = orchestrator.address
    orchestrator.stop()
    flags = ("-s", script, "--pool-size", 2, "--orchestrator", port)
    nodes = [servers.node(*flags), servers.node(*flags)]
    orchestrator = servers.orchestrator(*nodes, words=("-b", port))
    with Client(orchestrator.address) as client:

        def both_worked() -> bool:
            assert client.call("fan", {"n": 40}) == 820
            calls = [
                sum(row["calls"] for row in node["metrics"]["workers"]["processes"])
                for node in client.metrics()["nodes"]
            ]
            return min(calls) > 10

        poll_until(both_worked, "both nodes ran inner calls")
        assert client.call("deep", {"n": 31}) == 31
        assert client.call("tree", {"n": 3, "w": 5}) == 125
        with pytest.raises(JavaScriptError, match="more than 32 deep"):
            client.call("deep", {"n": 40})


def test_nested_calls_stay_at_home_when_the_orchestrator_is_lost(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    orchestrator = servers.orchestrator("127.0.0.1:1")
    flags = ("-s", script, "--pool-size", 2, "--orchestrator", orchestrator.address)
    node = servers.node(*flags)
    orchestrator.send(signal.SIGKILL)
    with Client(node.address) as client:
        assert client.call("fan", {"n": 20}) == 210


def test_the_nested_examples_run_on_a_pool_of_one(servers: Servers) -> None:
    node = servers.node(
        "-s",
        EXAMPLES / "nested_calls.js",
        EXAMPLES / "monte_carlo_pi.js",
        "--pool-size",
        1,
    )
    with Client(node.address) as client:
        texts = ["to be or not to be", "To do is to be", "constructor"]
        counts = client.call("map_reduce_words", {"texts": texts})
        assert counts == {"to": 4, "be": 3, "or": 1, "not": 1, "do": 1, "is": 1,
                          "constructor": 1}  # fmt: skip
        assert client.call("sum_range", {"from": 1, "to": 5_000}) == 12_502_500
        estimate = client.call("estimate_pi", {"calls": 10, "samples": 20_000})
        assert abs(estimate["pi"] - 3.14159) < 0.02
