"""Every server is restarted with SIGTERM, one after another, and callers see nothing of it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client
from tests.chaos.load import SCRIPT, Load
from tests.guard import Guard
from tests.servers import RunningServer, Servers, poll_until


class Site:
    """Two orchestrators, and nodes that register with both."""

    def __init__(self, servers: Servers, nodes: int, words: tuple[object, ...]) -> None:
        self._servers = servers
        self._words = words
        self._script = servers.script(SCRIPT)
        self.orchestrators = [self.orchestrator("127.0.0.1:0") for _ in range(2)]
        self.addresses = [server.address for server in self.orchestrators]
        self.nodes = [self.node("127.0.0.1:0") for _ in range(nodes)]

    def orchestrator(self, bind: str) -> RunningServer:
        return self._servers.start("orchestrator", "-b", bind, *self._words)

    def node(self, bind: str) -> RunningServer:
        flags = [word for address in self.addresses for word in ("--orchestrator", address)]
        words = ("-s", self._script, "--pool-size", 1, "--isolation", "context", *flags)
        return self._servers.start("node", "-b", bind, *words, *self._words)


def nodes_up(address: str, settings: dict[str, Any]) -> int:
    with Client(address, **settings) as client:
        return sum(node["state"] == "up" for node in client.info()["nodes"])


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "token and mTLS"])
def test_a_rolling_restart_of_everything(servers: Servers, tmp_path: Path, guarded: bool) -> None:
    guard = Guard.made_in(tmp_path / "files") if guarded else None
    words, settings = (guard.server_words, guard.client_settings) if guard else ((), {})
    site = Site(servers, 3, words)

    def is_whole(address: str) -> bool:
        return nodes_up(address, settings) == len(site.nodes)

    for address in site.addresses:
        poll_until(lambda a=address: is_whole(a), "every node is up")
    load = Load(site.addresses, 1, 20.0, **settings)
    callers = [Caller(site.addresses, settings) for _ in range(3)]
    load.start()
    for caller in callers:
        caller.start()

    def wait_for_calls() -> None:
        before = load.ended
        poll_until(lambda: load.ended > before + 100, "calls go on")

    try:
        wait_for_calls()
        for index, node in enumerate(site.nodes):
            assert node.stop() == 0
            wait_for_calls()
            site.nodes[index] = site.node(node.address)
            for address in site.addresses:
                poll_until(lambda a=address: is_whole(a), "the node is back")
        for index, orchestrator in enumerate(site.orchestrators):
            assert orchestrator.stop() == 0
            wait_for_calls()
            site.orchestrators[index] = site.orchestrator(orchestrator.address)
            poll_until(lambda a=orchestrator.address: is_whole(a), "it knows every node again")
            wait_for_calls()
    finally:
        for caller in callers:
            caller.finish()
        load.stop()
    assert load.wrong == []
    assert set(load.outcomes) == {"right"}
    assert [caller.failure for caller in callers] == [None] * 3


class Caller(threading.Thread):
    """Makes one blocking call after another; any error ends it."""

    def __init__(self, addresses: list[str], settings: dict[str, Any]) -> None:
        super().__init__()
        self.failure: BaseException | None = None
        self._addresses = addresses
        self._settings = settings
        self._stopping = threading.Event()

    def run(self) -> None:
        try:
            with Client(self._addresses, **self._settings) as client:
                while not self._stopping.is_set():
                    result = client.call("mix", {"seed": 1, "rounds": 1, "pad": ""}, timeout=20)
                    assert result == {"seed": 1, "x": 1015568748, "size": 0}
        except BaseException as error:
            self.failure = error

    def finish(self) -> None:
        self._stopping.set()
        self.join(30)
