"""Scripts loaded anew while calls run."""

from __future__ import annotations

import signal
import threading

import pytest

from madrpc import Client, MethodNotFound
from tests.servers import RunningServer, Servers, poll_until

OLD = """
madrpc.register("version", () => 1);
madrpc.register("slow", ({ms}) => { const t = Date.now(); while (Date.now() - t < ms); return 1; });
"""
NEW = OLD.replace("=> 1)", "=> 2)").replace("return 1", "return 2")


def start(servers: Servers, *words: object) -> RunningServer:
    return servers.node("-s", servers.script(OLD), "--pool-size", 2, *words)


@pytest.mark.parametrize("isolation", ["context", "snapshot"])
def test_a_hangup_reloads_and_loses_no_call(servers: Servers, isolation: str) -> None:
    node = start(servers, "--isolation", isolation)
    seen: set[int] = set()
    enough = threading.Event()

    with Client(node.address) as client:
        slow = client.submit("slow", {"ms": 800}, receipt=True)
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the slow call runs")

        def call_all_the_time() -> None:
            while not enough.is_set():
                seen.add(client.call("version"))

        caller = threading.Thread(target=call_all_the_time)
        caller.start()
        try:
            servers.script(NEW)
            node.send(signal.SIGHUP)
            poll_until(lambda: 2 in seen, "new calls run the new code")
        finally:
            enough.set()
            caller.join()
        assert slow.result(20) == 1
        version, receipt = client.call("version", receipt=True)
        assert version == 2
        assert slow.receipt is not None
        assert slow.receipt.script != receipt.script
        assert client.call("slow", {"ms": 1}) == 2
        poll_until(lambda: len(node.worker_pids()) <= 2, "the old workers are gone")


def test_a_broken_script_changes_nothing(servers: Servers) -> None:
    node = start(servers)
    with Client(node.address) as client:
        before = client.info()["scripts"]
        servers.script("let a = ;")
        node.send(signal.SIGHUP)
        poll_until(lambda: "not reloaded, the old scripts stay" in node.stderr(), "it is refused")
        assert "script.js:1:9: SyntaxError" in node.stderr()
        assert client.call("version") == 1
        assert client.info()["scripts"] == before
        assert len(node.worker_pids()) == 2


def test_watching_sees_a_saved_file(servers: Servers) -> None:
    node = start(servers, "--watch")
    with Client(node.address) as client:
        servers.script(NEW + 'madrpc.register("added", () => true);')
        poll_until(lambda: client.info()["methods"] == ["added", "slow", "version"], "reloaded")
        assert client.call("added") is True
        servers.script('madrpc.register("version", () => 3);')
        poll_until(lambda: client.call("version") == 3, "reloaded again")
        with pytest.raises(MethodNotFound):
            client.call("added")


def test_an_orchestrator_learns_the_new_functions(servers: Servers) -> None:
    node = start(servers)
    orchestrator = servers.orchestrator(node)
    with Client(orchestrator.address) as client:
        servers.script(NEW + 'madrpc.register("added", () => true);')
        node.send(signal.SIGHUP)
        poll_until(lambda: "reloaded: " in node.stderr(), "the node has it")
        assert client.call("added") is True, "at once, not with the next health probe"
        assert "added" in client.methods()
