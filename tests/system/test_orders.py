"""What monitors ask servers for, and the order to drain."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from madrpc import Client, InvalidRequest, MadrpcError
from madrpc.config import Security, TlsFiles
from madrpc.links.connection import Connection
from tests.servers import RunningServer, Servers, poll_until, servers_in

SCRIPT = """
madrpc.register("add", ({a, b}) => a + b);
madrpc.register("sleep", ({ms}) => new Promise(done => setTimeout(() => done(ms), ms)));
"""
BRIEF = {"nodes": "brief", "durations": True}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RunningServer]]:
    """Two nodes and their orchestrator."""
    with servers_in(tmp_path_factory.mktemp("orders")) as servers:
        script = servers.script(SCRIPT)
        nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
        yield [*nodes, servers.orchestrator(*nodes)]


def rows(client: Client, args: dict[str, Any]) -> dict[str, Any]:
    return {row["address"]: row for row in client.call("_metrics", args)["nodes"]}


def test_brief_rows_have_figures_and_no_details(cluster: list[RunningServer]) -> None:
    with Client(cluster[2].address) as client:
        for number in range(4):
            client.call("add", {"a": number, "b": 1})
        for row in rows(client, BRIEF).values():
            assert "methods" not in row
            figures = row["metrics"]
            assert "methods" not in figures
            assert "processes" not in figures["workers"]
            assert sum(count for _, count in figures["durations"]) == figures["calls"] == 2
            assert figures["rss_bytes"] > figures["front_end"]["rss_bytes"] > 0
            assert figures["cpu_seconds"] > figures["front_end"]["cpu_seconds"] > 0


def test_details_of_one_node(cluster: list[RunningServer]) -> None:
    one, other, orchestrator = cluster
    with Client(orchestrator.address) as client:
        found = rows(client, {"nodes": [one.address]})
    assert found[other.address]["metrics"] is None
    assert len(found[one.address]["metrics"]["workers"]["processes"]) == 1


def test_cpu_time_of_a_node_never_falls(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)
    with Client(node.address) as client:
        before = client.metrics()
        for pid in node.worker_pids():
            os.kill(pid, signal.SIGKILL)
        after = poll_until(
            lambda: (m := client.metrics())["workers"]["restarts"] >= 2 and m, "workers replaced"
        )
        assert after["cpu_seconds"] >= before["cpu_seconds"]


def test_a_node_that_is_told_to_drain_ends_its_calls_and_stops(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
    orchestrator = servers.orchestrator(*nodes)
    with Client(nodes[0].address) as direct, Client(orchestrator.address) as client:
        with ThreadPoolExecutor(1) as threads:
            call = threads.submit(direct.call, "sleep", {"ms": 500})
            poll_until(lambda: direct.metrics()["in_flight"], "the call runs")
            order = {"node": nodes[0].address}
            assert client.call("_drain", order) == {"state": "draining"}
            assert client.call("_drain", order) == {"state": "draining"}
            assert call.result(10) == 500
        assert nodes[0].process.wait(10) == 0
        assert [client.call("add", {"a": 1, "b": number}) for number in range(4)] == [1, 2, 3, 4]


def test_one_signal_after_the_order_cuts_nothing_off(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with Client(node.address) as client, ThreadPoolExecutor(1) as threads:
        call = threads.submit(client.call, "sleep", {"ms": 700})
        poll_until(lambda: client.metrics()["in_flight"], "the call runs")
        client.call("_drain")
        node.send(signal.SIGTERM)
        assert call.result(10) == 700
    assert node.process.wait(10) == 0


@pytest.mark.parametrize("args", [None, {"node": "nowhere:1"}, {"node": 5}, {"node": "x" * 5000}])
def test_an_order_for_nobody_is_refused(cluster: list[RunningServer], args: Any) -> None:
    with Client(cluster[2].address) as client, pytest.raises(InvalidRequest) as refusal:
        client.call("_drain", args)
    assert len(refusal.value.message) < 300


def test_scripts_give_no_orders(servers: Servers) -> None:
    source = 'madrpc.register("stop", () => madrpc.call("_drain", {}));'
    node = servers.node("-s", servers.script(source), "--pool-size", 1)
    with Client(node.address) as client:
        with pytest.raises(MadrpcError):
            client.call("stop")
        assert client.info()["state"] == "up"


def may_order(host: str, security: Security, *, trusted: bool = True) -> bool:
    connection = Connection.__new__(Connection)
    connection._owner = SimpleNamespace(config=SimpleNamespace(security=security))  # type: ignore[assignment]
    connection._host, connection._trusted = host, trusted
    return connection.may_order


OPEN = Security()
TOKEN = Security("secret", None)
CERTIFICATES = Security(None, TlsFiles("cert", "key", "ca"))
ONE_WAY = Security(None, TlsFiles("cert", "key", None))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "::ffff:127.0.0.1"])
def test_orders_are_taken_from_this_machine(host: str) -> None:
    assert may_order(host, OPEN)
    assert may_order(host, ONE_WAY)


@pytest.mark.parametrize("host", ["10.0.0.5", "::ffff:10.0.0.5", "fe80::1%eth0", "", "localhost"])
def test_orders_from_elsewhere_need_a_proof(host: str) -> None:
    assert not may_order(host, OPEN)
    assert not may_order(host, ONE_WAY)
    assert may_order(host, CERTIFICATES)
    assert may_order(host, TOKEN)
    assert not may_order(host, TOKEN, trusted=False)
