"""Nodes that come and go: registration, files, goodbyes, and what callers see of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from madrpc import Client, InvalidRequest, MadrpcError
from tests.servers import RunningServer, Servers, poll_until

ECHO = """
madrpc.register("echo", ({n}) => n);
madrpc.register("spin", ({ms, n}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return n;
});
"""


def registered(servers: Servers, orchestrator: RunningServer, *words: object) -> RunningServer:
    script = servers.script(ECHO)
    flags = ("--orchestrator", orchestrator.address, "--pool-size", 2)
    return servers.node("-s", script, *flags, *words)


def states(client: Client) -> dict[str, str]:
    return {node["address"]: node["state"] for node in client.info()["nodes"]}


def raw(client: Client, method: str, args: dict[str, Any]) -> Any:
    return client.call(method, args)


def test_a_node_registers_serves_and_says_goodbye(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    with Client(orchestrator.address) as client:
        assert client.info()["nodes"] == []
        node = registered(servers, orchestrator)
        poll_until(lambda: states(client) == {node.address: "up"}, "the node is up", 5)
        assert client.call("echo", {"n": 5}) == 5
        assert client.info()["nodes"][0]["sources"] == ["registration"]
        assert node.stop() == 0
        poll_until(lambda: states(client) == {}, "the node is forgotten", 2)


def test_a_node_serves_several_orchestrators_and_finds_a_restarted_one(servers: Servers) -> None:
    first, second = servers.orchestrator(), servers.orchestrator()
    node = registered(servers, first, "--orchestrator", second.address)
    for orchestrator in (first, second):
        with Client(orchestrator.address) as client:
            poll_until(lambda c=client: states(c) == {node.address: "up"}, "registered", 5)
    first.stop(signal.SIGKILL)
    again = servers.orchestrator(words=("-b", first.address))
    with Client(again.address) as client:
        poll_until(lambda: states(client) == {node.address: "up"}, "registered again", 8)
        assert client.call("echo", {"n": 1}) == 1


def test_a_killed_node_is_forgotten_when_its_registration_ends(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    node = registered(servers, orchestrator)
    with Client(orchestrator.address) as client:
        poll_until(lambda: states(client) == {node.address: "up"}, "the node is up", 5)
        node.stop(signal.SIGKILL)
        poll_until(lambda: states(client) == {node.address: "down"}, "the node is down", 5)
        poll_until(lambda: states(client) == {}, "the registration has ended", 20)


def test_a_node_with_two_sources_is_one_node_and_stays_for_the_other(servers: Servers) -> None:
    script = servers.script(ECHO)
    port = free_port()
    orchestrator = servers.orchestrator(f"127.0.0.1:{port}")
    node = registered(servers, orchestrator, "-b", f"127.0.0.1:{port}")
    assert script.exists()
    with Client(orchestrator.address) as client:
        poll_until(
            lambda: client.info()["nodes"][0]["sources"] == [node.address, "registration"],
            "both sources name it",
            8,
        )
        assert states(client) == {node.address: "up"}
        assert node.stop() == 0
        assert client.info()["nodes"][0]["sources"] == [node.address]
        poll_until(lambda: states(client) == {node.address: "down"}, "the node is down", 3)


def test_an_advertised_address_is_the_one_that_is_used(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    port = free_port()
    registered(servers, orchestrator, "-b", f"0.0.0.0:{port}", "--advertise", f"localhost:{port}")
    with Client(orchestrator.address) as client:
        poll_until(lambda: states(client) == {f"localhost:{port}": "up"}, "registered", 5)


def test_a_node_on_all_interfaces_is_known_by_the_one_it_comes_from(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    node = registered(servers, orchestrator, "-b", "0.0.0.0:0")
    with Client(orchestrator.address) as client:
        poll_until(lambda: states(client) == {f"127.0.0.1:{node.port}": "up"}, "registered", 5)


@pytest.fixture
def deaf() -> Iterator[str]:
    """An address that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def test_what_cannot_be_a_node_is_refused_and_costs_nobody_anything(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    node = registered(servers, orchestrator)
    bad = [
        None,
        5,
        ["127.0.0.1:1"],
        "",
        "nonsense",
        "127.0.0.1:0",
        "127.0.0.1:70000",
        "0.0.0.0:9000",
        "[::]:9000",
        ":9000",
        "h" * 301 + ":1",
        "h" * 280 + ":1",
        "a\nb:1",
        orchestrator.address,
        f"127.0.0.1:{free_port()}",
        f"localhost:{orchestrator.port}",
    ]
    with Client(orchestrator.address) as client:
        poll_until(lambda: states(client) == {node.address: "up"}, "the node is up", 5)
        for address in bad:
            with pytest.raises(InvalidRequest):
                raw(client, "_register", {"address": address})
            assert client.call("echo", {"n": 7}) == 7
        with pytest.raises(InvalidRequest):
            raw(client, "_register", {})
        assert states(client) == {node.address: "up"}
        with pytest.raises(InvalidRequest, match="not draining"):
            raw(client, "_deregister", {"address": node.address})
        assert states(client) == {node.address: "up"}
        assert raw(client, "_deregister", {"address": "127.0.0.1:9"}) == {}
    assert "Traceback" not in orchestrator.stderr()


def test_a_silent_address_is_refused_while_others_are_served(servers: Servers, deaf: str) -> None:
    orchestrator = servers.orchestrator()
    node = registered(servers, orchestrator)
    with Client(orchestrator.address) as client:
        poll_until(lambda: states(client) == {node.address: "up"}, "the node is up", 5)
        errors: list[MadrpcError] = []

        def register() -> None:
            with Client(orchestrator.address) as other:
                try:
                    raw(other, "_register", {"address": deaf})
                except MadrpcError as error:
                    errors.append(error)

        thread = threading.Thread(target=register)
        thread.start()
        while thread.is_alive():
            assert client.call("echo", {"n": 3}) == 3
        thread.join()
        assert [error.name for error in errors] == ["InvalidRequest"]
        assert states(client) == {node.address: "up"}


def test_a_file_names_the_nodes_and_is_read_again(servers: Servers) -> None:
    script = servers.script(ECHO)
    one, two = (servers.node("-s", script, "--pool-size", 1) for _ in range(2))
    listed = servers.folder / "nodes"
    write(listed, f"# the first\n{one.address}  # here\n\n")
    orchestrator = servers.orchestrator(f"file:{listed}")
    with Client(orchestrator.address) as client:
        assert states(client) == {one.address: "up"}
        write(listed, f"{one.address}\n{two.address}\n")
        both = {one.address: "up", two.address: "up"}
        poll_until(lambda: states(client) == both, "both are up", 5)
        write(listed, f"{two.address}\nnonsense:port\n")
        poll_until(lambda: "line 2" in orchestrator.stderr(), "the mistake is logged", 5)
        assert states(client) == both
        held = [client.submit("spin", {"ms": 400, "n": n}) for n in range(4)]
        poll_until(lambda: client.metrics()["in_flight"] == 4, "all are in flight", 5)
        write(listed, f"{two.address}\n")
        poll_until(lambda: states(client).get(one.address) != "up", "one is leaving", 5)
        assert [future.result(20) for future in held] == [0, 1, 2, 3]
        poll_until(lambda: states(client) == {two.address: "up"}, "one is gone", 5)
    assert orchestrator.stderr().count("line 2") == 1


def test_a_name_stands_for_its_addresses(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ECHO), "--pool-size", 1)
    orchestrator = servers.orchestrator(f"dns://localhost:{node.port}")
    with Client(orchestrator.address) as client:
        assert states(client)[node.address] == "up"
        assert client.call("echo", {"n": 2}) == 2


def test_new_functions_of_a_node_reach_the_routing_table(servers: Servers) -> None:
    orchestrator = servers.orchestrator()
    node = registered(servers, orchestrator)
    with Client(orchestrator.address) as client:
        poll_until(lambda: client.methods() == ["echo", "spin"], "the node is up", 5)
        servers.script('madrpc.register("other", () => "new")')
        node.send(signal.SIGHUP)
        poll_until(lambda: client.methods() == ["other"], "the new function is known", 8)
        assert client.call("other") == "new"


def test_a_call_waits_for_a_node_that_is_just_being_restarted(servers: Servers) -> None:
    node = servers.node("-s", servers.script(ECHO), "--pool-size", 1)
    orchestrator = servers.orchestrator(node)
    with Client(orchestrator.address) as client:
        assert client.call("echo", {"n": 1}) == 1
        node.stop(signal.SIGKILL)
        waiting = client.submit("echo", {"n": 2})
        servers.node("-s", servers.folder / "script.js", "-b", node.address)
        assert waiting.result(20) == 2


def test_the_calls_of_a_stopped_node_move_to_another(servers: Servers) -> None:
    script = servers.script(ECHO)
    nodes = [servers.node("-s", script, "--pool-size", 2) for _ in range(2)]
    orchestrator = servers.orchestrator(*nodes)
    with Client(orchestrator.address) as client:
        futures = [client.submit("spin", {"ms": 50, "n": n}) for n in range(40)]
        nodes[0].send(signal.SIGSTOP)
        assert [future.result(30) for future in futures] == list(range(40))
        poll_until(lambda: states(client)[nodes[0].address] == "down", "it is down", 10)
        nodes[0].send(signal.SIGCONT)
        poll_until(lambda: states(client)[nodes[0].address] == "up", "it is up again", 10)


def test_every_worker_stopped_makes_a_node_the_last_choice(servers: Servers) -> None:
    script = servers.script(ECHO)
    nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
    orchestrator = servers.orchestrator(*nodes)
    with Client(orchestrator.address) as client:
        (worker,) = nodes[0].worker_pids()
        os.kill(worker, signal.SIGSTOP)
        # The probe finds it, and the pool replaces it.
        poll_until(lambda: nodes[0].worker_pids() not in ([worker], []), "it is replaced", 30)
        poll_until(lambda: states(client)[nodes[0].address] == "up", "the node is well", 30)


@pytest.mark.parametrize("balance", ["round-robin", "least-busy"])
def test_a_rolling_restart_is_not_seen_by_callers(servers: Servers, balance: str) -> None:
    orchestrator = servers.orchestrator(words=("--balance", balance))
    nodes = [registered(servers, orchestrator) for _ in range(3)]
    up = {node.address: "up" for node in nodes}
    with Client(orchestrator.address) as client, load(orchestrator.address) as seen:
        poll_until(lambda: states(client) == up, "all are up", 10)
        poll_until(lambda: len(seen.right) > 200, "calls run")
        for node in nodes:
            before = len(seen.right)
            assert node.stop() == 0
            poll_until(lambda b=before: len(seen.right) > b + 100, "calls run on")
            again = registered(servers, orchestrator, "-b", node.address)
            poll_until(lambda a=again: states(client).get(a.address) == "up", "it is back", 10)
        assert client.metrics()["errors"] == 0
    assert seen.errors == []
    assert seen.wrong == []


class Load:
    """Threads that call without a pause, and what came of it."""

    def __init__(self, address: str) -> None:
        self.right: list[int] = []
        self.wrong: list[Any] = []
        self.errors: list[BaseException] = []
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(address, n)) for n in range(8)]

    def run(self, address: str, first: int) -> None:
        with Client(address) as client:
            n = first
            while not self.stopping.is_set():
                n += 8
                try:
                    answer = client.call("spin", {"ms": 2, "n": n}, timeout=20)
                except MadrpcError as error:
                    self.errors.append(error)
                    continue
                (self.right if answer == n else self.wrong).append(answer)


@contextlib.contextmanager
def load(address: str) -> Iterator[Load]:
    made = Load(address)
    poll_until(_serves(address), "a node is there")
    for thread in made.threads:
        thread.start()
    try:
        yield made
    finally:
        made.stopping.set()
        for thread in made.threads:
            thread.join(30)


def _serves(address: str) -> Callable[[], bool]:
    def check() -> bool:
        with Client(address) as client:
            return bool(client.methods())

    return check


def write(path: Any, text: str) -> None:
    """Replace a file at once, as tools that write such files do."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
