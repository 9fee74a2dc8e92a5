"""Other scripts for a running cluster: all nodes or none, and no call lost on the way."""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client
from tests.servers import RunningServer, Servers, madrpc, poll_until, servers_in


def version(number: int, more: str = "") -> str:
    return f"""
madrpc.register("version", () => {number});
madrpc.register("slow", async ({{ms}}) => {{
  await new Promise((done) => setTimeout(done, ms));
  return {number};
}});
{more}
"""


class Cluster:
    """Two nodes of one worker each behind an orchestrator, with version 1."""

    def __init__(self, servers: Servers) -> None:
        self.servers = servers
        script = servers.script(version(1), "rules.js")
        self.nodes = [servers.node("-s", script, "--pool-size", 1) for _ in range(2)]
        self.orchestrator: RunningServer = servers.orchestrator(*self.nodes)
        self.address = self.orchestrator.address

    def deploy(self, source: str | None, *words: object) -> Any:
        scripts = [] if source is None else [self.servers.script(source, "rules.js")]
        return madrpc("deploy", self.address, *scripts, *words)

    def releases(self) -> set[str]:
        shown = madrpc("deploy", self.address, "--json")
        return {node["release"]["id"] for node in json.loads(shown.stdout)}

    def quiet(self) -> None:
        """Wait until no node has more workers than it was started with."""
        poll_until(
            lambda: all(len(node.worker_pids()) == 1 for node in self.nodes), "one worker each"
        )


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with servers_in(tmp_path_factory.mktemp("deploy")) as servers:
        yield Cluster(servers)


@pytest.fixture
def cluster(running: Cluster) -> Iterator[Cluster]:
    """The cluster with version 1 everywhere."""
    assert running.deploy(version(1)).returncode == 0
    yield running
    running.quiet()


def test_a_deployment_under_load_loses_nothing_and_switches_for_good(cluster: Cluster) -> None:
    seen: list[int] = []
    stop = threading.Event()

    def load() -> None:
        with Client(cluster.address) as client:
            items: Iterator[dict[str, int]] = (
                {} for _ in itertools.takewhile(lambda _: not stop.is_set(), itertools.count())
            )
            seen.extend(client.map("version", items, concurrency=16))

    caller = threading.Thread(target=load)
    caller.start()
    with Client(cluster.address) as client:
        slow = client.submit("slow", {"ms": 1500})
        poll_until(lambda: client.metrics()["in_flight"] > 1, "the slow call is under way")
        done = cluster.deploy(version(2))
        after = [client.call("version") for _ in range(20)]
        stop.set()
        caller.join(60)
        assert done.returncode == 0, done.stderr
        assert slow.result(20) == 1
    assert "2 functions: loaded by all, served by 2 of 2 nodes" in done.stdout
    assert set(seen) == {1, 2}
    assert set(after) == {2}
    assert len(cluster.releases()) == 1


def test_a_broken_version_changes_nothing(cluster: Cluster) -> None:
    before = cluster.releases()
    for source, says in (
        ("let a = ;", "rules.js:1:9: SyntaxError"),
        ("throw new Error('no')", "rules.js:1:11: Error: no"),
        ("1", "registers no function"),
    ):
        done = cluster.deploy(source)
        assert done.returncode == 2
        assert says in done.stderr
        assert "node 127.0.0.1:" in done.stderr
    assert cluster.releases() == before
    cluster.quiet()
    with Client(cluster.address) as client:
        assert client.call("version") == 1


def test_a_canary_goes_to_a_share_of_the_nodes_and_can_be_taken_back(cluster: Cluster) -> None:
    done = cluster.deploy(version(3), "--canary", "10%")
    assert "served by 1 of 2 nodes" in done.stdout
    with Client(cluster.address) as client:
        assert {client.call("version") for _ in range(10)} == {1, 3}
        shown = madrpc("deploy", cluster.address)
        assert "warning: nodes run 2 different releases" in shown.stderr
        assert shown.stdout.count("rules.js@") == 2
        cluster.quiet()

        back = cluster.deploy(None, "--rollback")
        assert back.returncode == 0, back.stderr
        assert "rolled back to rules.js@" in back.stdout
        assert {client.call("version") for _ in range(10)} == {1}
    again = cluster.deploy(None, "--rollback")
    assert again.returncode == 2
    assert "InvalidRequest" in again.stderr


def test_functions_come_and_go_with_the_release(cluster: Cluster) -> None:
    padding = "// " + "x" * 200_000
    cluster.deploy(version(4, f'madrpc.register("extra", () => "there");\n{padding}'))
    with Client(cluster.address) as client:
        assert client.call("extra") == "there"
        cluster.deploy(version(5))
        assert "extra" not in client.methods()


def test_a_node_alone_takes_scripts_too(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.nodes[0].address
    script = tmp_path / "rules.js"
    script.write_text(version(6))
    done = madrpc("deploy", node, script)
    assert done.stdout.startswith("rules.js@")
    with Client(node) as client:
        assert client.call("version") == 6
    assert "this is one node" in madrpc("deploy", node, script, "--canary", "0.5").stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--canary", "10%"), "--canary needs a script"),
        (("--canary", "100%"), "is not a share"),
        (("missing.js",), "cannot read missing.js"),
        (("missing.js", "--rollback"), "--rollback takes no script"),
    ],
)
def test_mistakes_on_the_command_line(words: tuple[str, ...], says: str) -> None:
    done = madrpc("deploy", "127.0.0.1:1", *words)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_node_that_others_can_reach_wants_to_be_told_so_and_a_token(servers: Servers) -> None:
    script = servers.script(version(1))
    refused = madrpc("node", "-s", script, "-b", "0.0.0.0:0", "--allow-deploy")
    assert refused.returncode == 6
    assert "add --auth-token-file" in refused.stderr

    token = servers.script("secret of the tests", "token")
    guard = ("--auth-token-file", token)
    closed = servers.start("node", "-s", script, "-b", "0.0.0.0:0", "--pool-size", 1, *guard)
    opened = servers.start(
        "node", "-s", script, "-b", "0.0.0.0:0", "--pool-size", 1, *guard, "--allow-deploy"
    )
    other = servers.script(version(2), "other.js")
    no = madrpc("deploy", f"127.0.0.1:{closed.port}", other, *guard)
    assert no.returncode == 6
    assert "takes no deployments" in no.stderr
    assert madrpc("deploy", f"127.0.0.1:{opened.port}", other).returncode == 6
    yes = madrpc("deploy", f"127.0.0.1:{opened.port}", other, *guard)
    assert yes.returncode == 0, yes.stderr
