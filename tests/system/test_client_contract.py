"""What both clients promise, against real servers."""

from __future__ import annotations

import pickle
import re
import signal
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

from madrpc import (
    CallTimeout,
    Client,
    ClientClosed,
    ConnectionFailed,
    InvalidArguments,
    JavaScriptError,
    MadrpcError,
    MethodNotFound,
    PayloadTooLarge,
    Receipt,
    Unauthenticated,
)
from tests.clients import SCRIPT, AnyClient, AsyncAsBlocking, Kind
from tests.guard import Guard
from tests.servers import RunningServer, Servers, poll_until, servers_in

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An orchestrator with one node of four workers."""
    with servers_in(tmp_path_factory.mktemp("live")) as servers:
        node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 4)
        yield servers.orchestrator(node)


@pytest.fixture(params=[Client, AsyncAsBlocking], ids=["blocking", "async"])
def kind(request: pytest.FixtureRequest) -> Kind:
    made: Kind = request.param
    return made


@pytest.fixture
def client(live: RunningServer, kind: Kind) -> Iterator[AnyClient]:
    with kind(live.address, timeout=20) as made:
        yield made


def test_call_and_rpc(client: AnyClient) -> None:
    assert client.call("double", {"n": 4}) == 8
    assert client.rpc.double(n=4) == 8
    assert client.call("echo") == {}


@pytest.mark.parametrize(
    ("method", "args", "expected", "words"),
    [
        ("doubel", {}, MethodNotFound, "did you mean 'double'"),
        ("fail", {"n": 3}, JavaScriptError, "RangeError: n is 3"),
        ("echo", {"x": float("inf")}, InvalidArguments, r"args\.x: inf is not a JSON number"),
        ("echo", {"x": [{"y": 2**53}]}, InvalidArguments, r"args\.x\[0\]\.y: 9007199254740992"),
        ("echo", {"x": {1, 2}}, InvalidArguments, r"args\.x: a set is not a JSON value"),
        ("echo", {"x": 2**70}, InvalidArguments, r"args\.x: .* is beyond"),
        ("echo", {"x": "\ud800"}, InvalidArguments, r"args\.x: .*lone surrogate"),
        ("echo", [1, 2], InvalidArguments, "arguments are named: pass a dict"),
        ("echo", {"x": b"bytes"}, InvalidArguments, r"args\.x: a bytes is not a JSON value"),
        ("echo", {"x": {1: 2}}, InvalidArguments, "the key 1 is not text"),
        ("echo", {"x": "y" * (17 * 2**20)}, PayloadTooLarge, "the limit is 16777216"),
    ],
)
def test_errors_are_typed_and_pickle(
    client: AnyClient, method: str, args: dict[str, object], expected: type[MadrpcError], words: str
) -> None:
    with pytest.raises(expected, match=words) as caught:
        client.call(method, args)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.message, copy.data) == (
        expected,
        caught.value.message,
        caught.value.data,
    )
    assert client.call("double", {"n": 1}) == 2


def test_a_timeout_is_a_timeout_error_and_leaves_the_client_usable(client: AnyClient) -> None:
    with pytest.raises(CallTimeout) as caught:
        client.call("spin", {"ms": 60_000}, timeout=0.3)
    assert isinstance(caught.value, TimeoutError)
    assert client.call("double", {"n": 2}) == 4


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(client: AnyClient, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be more than 0"):
        client.call("double", {"n": 1}, timeout=timeout)


def test_no_timeout_at_all(client: AnyClient) -> None:
    assert client.call("spin", {"ms": 50, "tag": 1}, timeout=None) == 1


def test_cancel_works_while_a_call_runs(client: AnyClient) -> None:
    future = client.submit("spin", {"ms": 60_000})
    poll_until(lambda: client.metrics()["in_flight"] > 0, "the call runs")
    assert future.cancel()
    with pytest.raises(CancelledError):
        future.result()
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the server stopped the call")


def test_a_submitted_call_times_out(client: AnyClient) -> None:
    with pytest.raises(CallTimeout):
        client.submit("spin", {"ms": 60_000}, timeout=0.2).result(5)


def test_a_burst_of_futures_beyond_the_nodes_queue(servers: Servers, kind: Kind) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2, "--queue-size", 32)
    with kind(node.address) as client:
        futures = [client.submit("double", {"n": n}) for n in range(400)]
        results = [future.exception(30) or future.result() for future in futures]
    refused = [r for r in results if isinstance(r, MadrpcError)]
    assert {type(r).__name__ for r in refused} <= {"Overloaded"}
    assert [r for r in results if not isinstance(r, MadrpcError)] == [
        2 * n for n, r in enumerate(results) if not isinstance(r, MadrpcError)
    ]


def test_close_ends_what_waits(live: RunningServer, kind: Kind) -> None:
    with kind(live.address) as client:
        future = client.submit("spin", {"ms": 60_000})
        client.close()
        client.close()
        assert isinstance(future.exception(5), ClientClosed)
        for use in (
            lambda: client.call("double", {"n": 1}),
            lambda: client.submit("double", {"n": 1}),
            lambda: next(iter(client.map("double", [{"n": 1}]))),
        ):
            with pytest.raises(ClientClosed):
                use()


def test_map_keeps_the_order(client: AnyClient) -> None:
    items = [{"ms": 30 if n == 0 else 0, "tag": n} for n in range(100)]
    assert list(client.map("spin", items, concurrency=8)) == list(range(100))


def test_map_yields_as_answers_come(client: AnyClient) -> None:
    items = [{"ms": 300 if n == 0 else 0, "tag": n} for n in range(20)]
    results = list(client.map("spin", items, concurrency=4, ordered=False))
    assert sorted(results) == list(range(20))
    assert results[0] != 0


@pytest.mark.parametrize("ordered", [True, False])
def test_map_reads_its_input_only_as_far_as_its_window(client: AnyClient, ordered: bool) -> None:
    read = 0

    def items() -> Iterator[dict[str, int]]:
        nonlocal read
        for n in range(10_000):
            read += 1
            yield {"n": n}

    results = client.map("double", items(), concurrency=5, ordered=ordered)
    assert read == 0
    for yielded in range(1, 50):
        next(results)
        assert read <= yielded + 5
    results.close()  # type: ignore[attr-defined]


def test_map_raises_the_first_failure_or_returns_all(client: AnyClient) -> None:
    items = [{"n": n} for n in range(3)]
    with pytest.raises(JavaScriptError, match="n is 0"):
        list(client.map("fail", items))
    errors = list(client.map("fail", items, return_errors=True))
    assert [error.data["message"] for error in errors] == ["n is 0", "n is 1", "n is 2"]


def test_leaving_map_cancels_what_is_in_flight(client: AnyClient) -> None:
    results = client.map("spin", [{"ms": 0, "tag": 1}] + [{"ms": 60_000}] * 8, concurrency=4)
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the calls were cancelled")


def test_map_survives_the_loss_of_its_connection(servers: Servers, kind: Kind) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)
    first, second = servers.orchestrator(node), servers.orchestrator(node)
    with kind([first.address, second.address]) as client:
        results = []
        for answer in client.map("spin", ({"ms": 2, "tag": n} for n in range(400))):
            results.append(answer)
            if answer == 100:
                first.send(signal.SIGKILL)
    assert results == list(range(400))


def test_a_list_of_orchestrators_fails_over(servers: Servers, kind: Kind) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    first, second = servers.orchestrator(node), servers.orchestrator(node)
    with kind([first.address, second.address]) as client:
        assert client.call("double", {"n": 1}) == 2
        assert first.stop() == 0
        assert client.call("double", {"n": 2}) == 4
        assert client.submit("double", {"n": 3}).result(10) == 6


def test_a_stale_connection_is_replaced_unseen(servers: Servers, kind: Kind) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with kind(node.address) as client:
        assert client.call("double", {"n": 1}) == 2
        node.stop()
        servers.node("-s", servers.folder / "script.js", "-b", node.address)
        assert client.call("double", {"n": 2}) == 4


def test_nobody_there(kind: Kind) -> None:
    with kind("127.0.0.1:1", timeout=5) as client:
        for fail in (
            lambda: client.call("double"),
            lambda: client.submit("double").result(10),
            lambda: list(client.map("double", [{}])),
        ):
            with pytest.raises(ConnectionFailed, match=r"cannot reach 127\.0\.0\.1:1"):
                fail()


def test_more_than_one_address_may_be_dead(live: RunningServer, kind: Kind) -> None:
    dead = [f"127.0.0.1:{port}" for port in range(1, 6)]
    with kind([*dead, live.address]) as client:
        assert client.submit("double", {"n": 1}).result(10) == 2
    with kind([*dead, live.address]) as client:
        assert client.call("double", {"n": 1}) == 2


def test_a_seed_makes_a_call_reproducible(client: AnyClient) -> None:
    drawn = [client.call("random", seed=seed) for seed in (7, 7, "other")]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_the_server_is(client: AnyClient) -> None:
    assert client.methods() == ["double", "echo", "fail", "random", "spin"]
    assert client.info()["role"] == "orchestrator"
    assert client.metrics()["in_flight"] == 0


def test_a_receipt_says_where_the_time_went(client: AnyClient, live: RunningServer) -> None:
    assert client.call("double", {"n": 4}, receipt=False) == 8
    result, receipt = client.call("spin", {"ms": 30, "tag": 1}, receipt=True, trace=TRACE)
    assert result == 1
    assert receipt.orchestrator == live.address
    assert receipt.node == client.info()["nodes"][0]["address"]
    assert re.fullmatch(r"script\.js@[0-9a-f]{8}", receipt.script)
    assert (receipt.attempts, receipt.trace, receipt.parked_ms) == (1, "a" * 32, 0.0)
    assert receipt.run_ms > 29
    assert receipt.cpu_ms > 1
    assert receipt.heap_bytes > 10_000
    parts = [receipt.wire_ms, receipt.queue_ms, receipt.context_ms, receipt.run_ms]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(receipt.total_ms, abs=0.01)
    assert isinstance(pickle.loads(pickle.dumps(receipt)), Receipt)


def test_a_future_has_its_receipt_when_it_is_done(client: AnyClient) -> None:
    future = client.submit("double", {"n": 4}, receipt=True)
    assert future.result(20) == 8
    assert future.receipt.attempts == 1
    plain = client.submit("double", {"n": 4})
    assert plain.result(20) == 8
    assert plain.receipt is None


@pytest.mark.parametrize("ordered", [True, False])
def test_map_yields_replies(client: AnyClient, ordered: bool) -> None:
    items = [{"n": n} for n in range(20)]
    replies = list(client.map("double", items, receipt=True, trace=TRACE, ordered=ordered))
    assert sorted(result for result, _ in replies) == list(range(0, 40, 2))
    assert all(reply.receipt.run_ms is not None for reply in replies)
    (error,) = client.map("fail", [{"n": 1}], receipt=True, return_errors=True)
    assert error.receipt.node is not None


def test_an_error_has_its_receipt(client: AnyClient) -> None:
    for call in (
        lambda **more: client.call("fail", {"n": 1}, **more),
        lambda **more: client.submit("fail", {"n": 1}, **more).result(20),
    ):
        with pytest.raises(JavaScriptError) as caught:
            call(receipt=True)
        assert caught.value.receipt.run_ms is not None
        with pytest.raises(JavaScriptError) as caught:
            call()
        assert caught.value.receipt is None
    with pytest.raises(CallTimeout) as late:
        client.call("spin", {"ms": 60_000}, timeout=0.2, receipt=True)
    assert late.value.receipt.total_ms > 199


@pytest.mark.parametrize("trace", ["", "abc", TRACE.upper(), "00-" + "0" * 32 + TRACE[35:]])
def test_a_trace_must_be_one(client: AnyClient, trace: str) -> None:
    for use in (
        lambda: client.call("double", {"n": 1}, trace=trace),
        lambda: client.submit("double", {"n": 1}, trace=trace),
        lambda: client.map("double", [{"n": 1}], trace=trace),
    ):
        with pytest.raises(ValueError, match="trace must be a W3C traceparent, 00-<32 hex>"):
            use()


def test_a_bar_of_progress(client: AnyClient, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("tqdm")
    items = [{"n": n} for n in range(10)]
    assert len(list(client.map("double", items, progress=True))) == 10
    assert "10/10" in capsys.readouterr().err


@pytest.mark.parametrize("settings", [{"max_connections": 0}, {"timeout": 0}])
def test_settings_that_cannot_be(kind: Kind, settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        kind("127.0.0.1:1", **settings)


def test_a_window_must_be_positive(client: AnyClient) -> None:
    with pytest.raises(ValueError, match="concurrency must be at least 1"):
        client.map("double", [], concurrency=0)


def test_a_server_that_stops_answering_is_left(servers: Servers, kind: Kind) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)
    first, second = servers.orchestrator(node), servers.orchestrator(node)
    with kind([first.address, second.address], timeout=30) as client:
        assert client.submit("double", {"n": 1}).result(10) == 2
        first.send(signal.SIGSTOP)
        assert client.submit("double", {"n": 2}).result(20) == 4


def test_large_values_both_ways(client: AnyClient) -> None:
    big = {"text": "x" * 5_000_000, "list": list(range(100_000))}
    futures = [client.submit("echo", big) for _ in range(4)]
    assert all(future.result(60) == big for future in futures)


def test_tokens_and_tls(servers: Servers, kind: Kind, tmp_path: Path) -> None:
    guard = Guard.made_in(tmp_path / "files")
    words = ("-s", servers.script(SCRIPT), "--pool-size", 1)
    node = servers.node(*words, *guard.server_words)
    with kind(node.address, **guard.client_settings) as client:
        assert client.submit("double", {"n": 2}).result(10) == 4
        assert list(client.map("double", [{"n": n} for n in range(300)])) == list(range(0, 600, 2))
    for lacking, message in (
        ({"token": "other"}, "the token is not this server's"),
        ({"tls_cert": None, "tls_key": None}, "the server requires a certificate"),
        ({"tls_cert": None, "tls_key": None, "tls_ca": None}, "this port speaks TLS"),
    ):
        with kind(node.address, **{**guard.client_settings, **lacking}) as client:
            with pytest.raises(Unauthenticated, match=message):
                client.submit("double", {"n": 1}).result(10)
            with pytest.raises(Unauthenticated, match=message):
                client.call("double", {"n": 1})
    plain = servers.node(*words)
    with (
        kind(plain.address, **guard.tls_settings) as client,
        pytest.raises(Unauthenticated, match="does not speak TLS"),
    ):
        client.call("double", {"n": 1})
