"""The dashboard's page and stream as bytes: what is sent, to whom, to how many, until when."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc.http.events import MOST_VIEWERS
from tests.guard import TOKEN
from tests.servers import RunningServer, Servers, poll_until, servers_in
from tests.wire.http import Reply, exchange, get, read_reply, rpc
from tests.wire.test_http import http_port, started


@pytest.fixture(scope="module", params=["node", "orchestrator"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("events")) as servers:
        yield started(servers, request.param)


@pytest.fixture
def port(server: RunningServer) -> int:
    return http_port(server)


class Viewer:
    """One connection that reads the stream."""

    def __init__(self, port: int, *headers: str) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        lines = ["GET /events HTTP/1.1", f"Host: 127.0.0.1:{port}", *headers, "", ""]
        self.sock.sendall("\r\n".join(lines).encode())
        self._file = self.sock.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        while (line := self._file.readline().strip()) != b"":
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.sock.close()

    def event(self) -> tuple[str, Any] | None:
        """The next event, which is one chunk; None at the end."""
        while size := int(self._file.readline() or b"0", 16):
            text = self._file.read(size).decode()
            self._file.readline()
            if not text.startswith(":"):
                name, data = text.strip().split("\n", 1)
                return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))
        return None

    def next(self, wanted: str) -> Any:
        """The data of the next event of this name."""
        while found := self.event():
            if found[0] == wanted:
                return found[1]
        raise AssertionError(f"the stream ended before {wanted!r}")


# ---------------------------------------------------------------------- page


def test_the_page_is_whole_and_says_what_it_may_do(port: int) -> None:
    reply = get(port, "/")
    assert reply.status == 200
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    text = reply.body.decode()
    for outside in ("src=", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write"):
        assert outside not in text
    again = get(port, "/", f"If-None-Match: {reply.headers['etag']}")
    assert (again.status, again.body) == (304, b"")
    assert get(port, "/", method="HEAD").status == 200
    assert get(port, "/", method="POST").status == 405


def test_the_page_may_be_reached_by_a_link_but_under_no_strange_name(port: int) -> None:
    assert get(port, "/", "Sec-Fetch-Site: cross-site").status == 200
    lines = ("GET / HTTP/1.1", f"Host: evil.example:{port}", "Connection: close", "", "")
    assert Reply(exchange(port, "\r\n".join(lines).encode())).status == 403


# -------------------------------------------------------------------- stream


def test_the_stream_begins_with_history_and_goes_on_with_figures(
    server: RunningServer, port: int
) -> None:
    with Viewer(port) as viewer:
        assert viewer.status == 200
        assert viewer.headers["content-type"] == "text/event-stream"
        assert viewer.headers["cache-control"] == "no-store"
        hello = viewer.next("hello")
        assert hello["address"] == server.address
        assert hello["points"]["fields"][0] == "t"
        viewer.next("sample")
        for _ in range(3):
            rpc(port, "add", {"a": 1, "b": 2})
        rpc(port, "boom")
        sample = poll_until(
            lambda: (found := viewer.next("sample"))["calls_per_s"] and found, "calls are seen"
        )
        methods = rows(sample["methods"])
        added = next(row for row in methods if row["name"] == "add")
        assert added["calls"] >= 3
        assert added["p95_ms"] > 0
        assert {"big", "spin"} <= {row["name"] for row in methods}
        (node,) = rows(sample["nodes"])
        assert (node["state"] in ("up", "suspect"), node["workers"]) == (True, 2)
        assert node["rss_bytes"] > 2**20
        assert node["scripts"][0][0] == "script.js"
    with Viewer(port) as viewer:
        history = viewer.next("hello")["points"]["rows"]
        assert sum(row[1] or 0 for row in history) >= 3


def rows(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table["fields"], row, strict=True)) for row in table["rows"]]


def test_recent_calls_come_with_it(port: int) -> None:
    with Viewer(port) as viewer:
        assert set(viewer.next("recent")) == {"slowest", "errors"}


def test_only_so_many_look_on_and_who_leaves_makes_room(port: int) -> None:
    with contextlib.ExitStack() as stack:
        viewers: list[Viewer] = []

        def is_full() -> bool:
            viewer = stack.enter_context(Viewer(port))
            if viewer.status == 200:
                viewers.append(viewer)
            return len(viewers) == MOST_VIEWERS

        poll_until(is_full, "those of earlier tests are gone and these are in")
        refused = get(port, "/events")
        assert refused.status == 503
        assert b"look on already" in refused.body
        assert "retry-after" in refused.headers
        assert rpc(port, "add", {"a": 1, "b": 1})["result"] == 2
        viewers[-1].next("sample")

    def joins() -> bool:
        with Viewer(port) as viewer:
            return viewer.status == 200

    poll_until(joins, "those who left are noticed")


def test_a_stream_is_no_call_that_a_drain_waits_for(servers: Servers) -> None:
    node = started(servers, "node")
    with Viewer(http_port(node)) as viewer:
        viewer.next("sample")
        node.send(signal.SIGTERM)
        assert viewer.next("end") == {"reason": "draining"}
        assert viewer.event() is None
        assert node.process.wait(20) == 0
    assert "Traceback" not in node.stderr()


def test_the_token_opens_the_stream_and_not_the_page(servers: Servers) -> None:
    token = servers.folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    node = started(servers, "node", "--auth-token-file", token)
    port = http_port(node)
    assert get(port, "/").status == 200
    assert get(port, "/events").status == 401
    assert get(port, "/events", "Authorization: Bearer wrong").status == 401
    with Viewer(port, f"Authorization: Bearer {TOKEN}") as viewer:
        assert viewer.next("hello")["role"] == "node"


@pytest.mark.parametrize(
    "header",
    ["Origin: http://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"],
)
def test_pages_of_other_sites_do_not_read_the_stream(port: int, header: str) -> None:
    assert get(port, "/events", header).status == 403


def test_a_name_that_was_pointed_here_reads_nothing(servers: Servers) -> None:
    """A page reads its own site without an Origin header, so the name itself has to do."""
    script = servers.script("madrpc.register('f', () => 1)")
    node = servers.node("-s", script, "--pool-size", 1, "--http", "0.0.0.0:0")
    port = int(node.ready_line.rpartition(":")[2])
    for host, status in ((f"evil.example:{port}", 403), (f"127.0.0.1:{port}", 200)):
        lines = ("HEAD /events HTTP/1.1", f"Host: {host}", "Connection: close", "", "")
        data = exchange(port, "\r\n".join(lines).encode())
        assert int(data.split()[1]) == status


def test_head_of_the_stream_ends(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"HEAD /events HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        assert read_reply(sock).status == 200


def test_an_orchestrator_whose_node_is_gone_tells_so(servers: Servers) -> None:
    behind = started(servers, "orchestrator")
    node = servers.started[0]
    with Viewer(http_port(behind)) as viewer:
        poll_until(
            lambda: rows(viewer.next("sample")["nodes"])[0]["state"] == "up", "the node is up"
        )
        node.stop(signal.SIGKILL)
        poll_until(
            lambda: rows(viewer.next("sample")["nodes"])[0]["state"] == "down", "the node is down"
        )


def test_the_page_is_part_of_the_package() -> None:
    folder = Path(__file__).parents[2] / "madrpc" / "http" / "page"
    for path in folder.iterdir():
        assert len(path.read_text().splitlines()) < 400, path.name
