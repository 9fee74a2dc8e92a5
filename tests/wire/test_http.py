"""The HTTP port of both servers: JSON-RPC 2.0, who is let in, framing, limits, and how it ends."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from madrpc import Client
from tests.guard import TOKEN, Guard
from tests.servers import RunningServer, Servers, give_up, madrpc, poll_until, servers_in
from tests.wire.http import Reply, exchange, get, post, read_reply, rpc

SCRIPT = """
madrpc.register("add", ({a, b}) => a + b);
madrpc.register("echo", args => args);
madrpc.register("nothing", () => undefined);
madrpc.register("boom", () => { throw new RangeError("too far"); });
madrpc.register("spin", () => { for (;;); });
madrpc.register("big", ({n}) => "x".repeat(n));
"""
JSON = "Content-Type: application/json"


def http_port(server: RunningServer) -> int:
    """The port that a server's ready line names."""
    return int(server.ready_line.split("://")[1].rpartition(":")[2])


@pytest.fixture(scope="module", params=["node", "orchestrator"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("http")) as servers:
        yield started(servers, request.param)


@pytest.fixture
def port(server: RunningServer) -> int:
    return http_port(server)


def started(servers: Servers, role: str, *words: object) -> RunningServer:
    script = servers.script(SCRIPT)
    http = ("--http", "127.0.0.1:0", *words)
    node = servers.node("-s", script, "--pool-size", 2, *(http if role == "node" else ()))
    if role == "node":
        return node
    behind: RunningServer = servers.orchestrator(node, words=http)
    with Client(behind.address) as client:
        assert client.call("add", {"a": 1, "b": 2}) == 3
    return behind


# ------------------------------------------------------------------ JSON-RPC


def test_one_call(port: int) -> None:
    assert rpc(port, "add", {"a": 5, "b": 3}) == {"jsonrpc": "2.0", "result": 8, "id": 1}
    assert rpc(port, "nothing", id="x") == {"jsonrpc": "2.0", "result": None, "id": "x"}
    assert rpc(port, "echo", {"text": "\u00e9\0\U0001f600"})["result"] == {
        "text": "\u00e9\0\U0001f600"
    }


def test_a_call_is_timed_when_that_is_asked_for(port: int) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "echo"}
    body = json.dumps(call).encode()
    timed = post(port, body, JSON, "X-Madrpc-Receipt: 1")
    assert timed.json() == {"jsonrpc": "2.0", "result": {}, "id": 1}
    parts = dict(part.split(";dur=") for part in timed.headers["server-timing"].split(", "))
    assert list(parts) == ["queue", "context", "run", "total"]
    *in_node, total = map(float, parts.values())
    assert 0 < sum(in_node) <= total
    batch = json.dumps([call]).encode()
    for plain in (
        post(port, body, JSON),
        post(port, batch, JSON, "X-Madrpc-Receipt: 1"),
        post(port, body, JSON, "X-Madrpc-Receipt: yes"),
    ):
        assert plain.status == 200
        assert "server-timing" not in plain.headers


def test_the_examples_of_the_specification_that_apply(port: int) -> None:
    def sent(body: str) -> Any:
        return post(port, body.encode()).json()

    assert sent('{"jsonrpc": "2.0", "method": "foobar", "id": "1"}')["error"]["code"] == -32601
    assert (
        sent('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]')["error"]["code"]
        == -32700
    )
    wrong = sent('{"jsonrpc": "2.0", "method": 1, "params": "bar"}')
    assert (wrong["error"]["code"], wrong["id"]) == (-32600, None)
    assert sent("[]")["error"]["code"] == -32600
    assert [each["error"]["code"] for each in sent("[1,2,3]")] == [-32600] * 3
    assert sent('{"jsonrpc":"2.0","method":"add","params":[1,2],"id":1}')["error"]["code"] == -32602


def test_a_batch_is_answered_in_order_without_its_notifications(port: int) -> None:
    calls: list[Any] = [
        {"jsonrpc": "2.0", "id": n, "method": "add", "params": {"a": n, "b": 1}} for n in range(300)
    ]
    calls.insert(1, {"jsonrpc": "2.0", "method": "add", "params": {"a": 1, "b": 1}})
    calls.insert(2, {"foo": "boo"})
    calls.insert(3, {"jsonrpc": "2.0", "id": "e", "method": "boom"})
    answers = post(port, json.dumps(calls).encode()).json()
    assert [each["id"] for each in answers] == [0, None, "e", *range(1, 300)]
    assert [each["result"] for each in answers if "result" in each] == list(range(1, 301))
    assert answers[2]["error"]["data"]["name"] == "JavaScriptError"


@pytest.mark.parametrize("batch", [False, True])
def test_notifications_get_no_content(port: int, batch: bool) -> None:
    call = {"jsonrpc": "2.0", "method": "add", "params": {"a": 1, "b": 1}}
    reply = post(port, json.dumps([call, call] if batch else call).encode())
    assert (reply.status, reply.body) == (204, b"")


def test_errors_carry_the_names_of_the_one_table(port: int) -> None:
    error = rpc(port, "boom")["error"]
    assert error["data"]["name"] == "JavaScriptError"
    assert "RangeError: too far" in error["message"]
    assert "script.js:5" in error["data"]["data"]["stack"]
    missing = rpc(port, "ad")["error"]
    assert missing["code"] == -32601
    assert "add" in missing["message"]


def test_deadlines_come_by_header(port: int) -> None:
    began = time.monotonic()
    error = rpc(port, "spin", None, "X-Madrpc-Timeout-Ms: 300")["error"]
    assert error["data"]["name"] in ("CallTimeout", "TimeLimitExceeded")
    assert time.monotonic() - began < 5
    for text in ("0", "-1", "1.5", "x", "99999999999", ""):
        assert post(port, b"{}", f"X-Madrpc-Timeout-Ms: {text}").status == 400


def test_built_in_methods_answer_too(port: int) -> None:
    assert "add" in rpc(port, "_methods")["result"]["methods"]
    assert rpc(port, "_info")["result"]["role"] in ("node", "orchestrator")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ('{"a": NaN}', -32700),
        ('{"a": 9007199254740993}', -32602),
        ('{"a": 1, "a": 2}', -32700),
        ('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", -32700),
        ('{"a": 1e999}', -32602),
        ('{"a": "\\ud800"}', -32602),
    ],
)  # fmt: skip
def test_values_that_are_not_json_are_refused(port: int, params: str, code: int) -> None:
    body = f'{{"jsonrpc": "2.0", "id": 1, "method": "echo", "params": {params}}}'
    error = post(port, body.encode()).json()["error"]
    assert error["code"] == code, error


def test_a_batch_too_long_is_refused_whole(port: int) -> None:
    call = '{"jsonrpc":"2.0","id":1,"method":"nothing"}'
    error = post(port, f"[{','.join([call] * 1001)}]".encode()).json()["error"]
    assert error["code"] == -32600
    assert "1000" in error["message"]


# ------------------------------------------------------- framing and limits


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /rpc HTTP/1.1", *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (head("Host: a", JSON, "Content-Length: 2", "Transfer-Encoding: chunked") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: 2", "Content-Length: 3") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: 2", "Content-Length: 2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: +2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: 0x2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: -2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length: " + "9" * 5000) + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Content-Length : 2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, " Content-Length: 2") + b"{}", 400),
        (head("Host: 127.0.0.1", "X: a\0b", JSON, "Content-Length: 2") + b"{}", 400),
        (head("Host: 127.0.0.1", "X: a\rb", JSON, "Content-Length: 2") + b"{}", 400),
        (head("Host: 127.0.0.1", "no colon", JSON, "Content-Length: 2") + b"{}", 400),
        (head("Host: a", "Host: b", JSON, "Content-Length: 2") + b"{}", 400),
        (head(JSON, "Content-Length: 2") + b"{}", 400),
        (head("Host: 127.0.0.1", JSON, "Transfer-Encoding: chunked") + b"0\r\n\r\n", 411),
        (head("Host: 127.0.0.1", JSON, "Transfer-Encoding: gzip, chunked") + b"x", 411),
        (head("Host: 127.0.0.1", JSON), 411),
        (head("Host: 127.0.0.1", JSON, "Content-Length: 99999999999") + b"{}", 413),
        (head("Host: 127.0.0.1", *[f"X-{n}: 1" for n in range(200)]), 431),
        (head("Host: 127.0.0.1", "X: " + "y" * 1_000_000), 431),
        (b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 414),
        (b"GET /livez HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (head("Host: 127.0.0.1", "Content-Type: text/plain", "Content-Length: 2") + b"{}", 415),
        (head("Host: 127.0.0.1", "Content-Length: 2") + b"{}", 415),
    ],
)  # fmt: skip
def test_doubtful_requests_are_refused_and_the_connection_closed(
    port: int, data: bytes, status: int
) -> None:
    hidden = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    reply = Reply(exchange(port, data + hidden))
    assert (reply.status, reply.rest) == (status, b"")
    assert reply.headers["connection"] == "close"
    assert rpc(port, "add", {"a": 1, "b": 1})["result"] == 2


def test_a_body_over_the_limit_gets_its_answer_although_it_is_still_sent(port: int) -> None:
    size = 17 * 1024 * 1024
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(head("Host: 127.0.0.1", JSON, f"Content-Length: {size}"))
        sock.sendall(b"x" * 300_000)
        reply = read_reply(sock)
    assert reply.status == 413
    assert b"16777216" in reply.body


def test_a_body_cut_short_is_nobody_elses_matter(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(head("Host: 127.0.0.1", JSON, "Content-Length: 100") + b"{}")
        sock.shutdown(socket.SHUT_WR)
        assert read_reply(sock).status == 400


def test_connections_are_kept_and_requests_may_be_sent_ahead(port: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"b":2}}'
    one = head("Host: 127.0.0.1", JSON, f"Content-Length: {len(body)}") + body
    last = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    rest = exchange(port, one + one + last)
    for _ in range(2):
        reply = Reply(rest)
        assert reply.json()["result"] == 3
        rest = reply.rest
    assert Reply(rest).status == 200


def test_head_and_wrong_methods(port: int) -> None:
    assert get(port, "/livez", method="HEAD").headers["content-length"] == "3"
    assert get(port, "/rpc").headers["allow"] == "POST"
    assert get(port, "/metrics", method="DELETE").status == 405
    assert get(port, "/nowhere").status == 404
    assert get(port, "/rpc", method="HEAD").status == 405


def test_expect_continue_is_answered_before_the_body_is_sent(port: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"b":2}}'
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        length = f"Content-Length: {len(body)}"
        sock.sendall(head("Host: 127.0.0.1", JSON, length, "Expect: 100-continue"))
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert read_reply(sock).json()["result"] == 3


def test_a_long_answer_is_refused_by_name(port: int) -> None:
    calls = [
        {"jsonrpc": "2.0", "id": n, "method": "big", "params": {"n": 9_000_000}} for n in range(3)
    ]
    answers = post(port, json.dumps(calls).encode()).json()
    assert len(answers[0]["result"]) == 9_000_000
    assert [each["error"]["data"]["name"] for each in answers[1:]] == ["PayloadTooLarge"] * 2


def test_who_leaves_frees_the_worker(server: RunningServer, port: int) -> None:
    body = b'{"jsonrpc":"2.0","id":1,"method":"spin"}'
    for _ in range(4):
        with socket.create_connection(("127.0.0.1", port)) as sock:
            sock.sendall(head("Host: 127.0.0.1", JSON, f"Content-Length: {len(body)}") + body)
            time.sleep(0.05)
    began = time.monotonic()
    assert rpc(port, "add", {"a": 1, "b": 1})["result"] == 2
    assert time.monotonic() - began < 10


# ---------------------------------------------------------------- who may ask


@pytest.mark.parametrize(
    "headers",
    [
        ("Origin: http://evil.example",),
        ("Origin: null",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
    ],
)
def test_pages_of_other_sites_are_kept_out(port: int, headers: tuple[str, ...]) -> None:
    assert post(port, b"{}", *headers).status == 403
    assert get(port, "/metrics", *headers).status == 403


def test_a_server_on_loopback_answers_to_no_other_name(port: int) -> None:
    assert post(port, b"{}", host="evil.example").status == 403
    assert (
        post(port, b"{}", f"Origin: http://localhost:{port}", host=f"localhost:{port}").status
        == 200
    )


def test_names_that_anybody_may_point_here_need_a_token(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1, "--http", "0.0.0.0:0")
    port = http_port(node)
    for host, status in (
        ("evil.example", 403), ("127.0.0.1", 200), ("gateway", 200), ("[::1]", 200),
        ("box.local", 200),
    ):  # fmt: skip
        reply = post(port, b"{}", f"Origin: http://{host}:{port}", host=f"{host}:{port}")
        assert reply.status == status, (host, reply.body)
    assert post(port, b"{}", host="evil.example").status == 200


def test_a_token_is_asked_for_where_there_is_one(servers: Servers) -> None:
    token = servers.folder / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    words = ("--auth-token-file", token, "--http", "0.0.0.0:0")
    port = http_port(servers.node("-s", servers.script(SCRIPT), "--pool-size", 1, *words))
    assert get(port, "/livez").status == get(port, "/readyz").status == 200
    for path in ("/metrics", "/rpc"):
        for wrong in ((), ("Authorization: Bearer wrong",), (f"Authorization: Basic {TOKEN}",)):
            reply = get(port, path, *wrong) if path == "/metrics" else post(port, b"{}", *wrong)
            assert reply.status == 401
            assert reply.headers["www-authenticate"] == "Bearer"
    right = f"Authorization: Bearer {TOKEN}"
    assert get(port, "/metrics", right).status == 200
    assert rpc(port, "add", {"a": 1, "b": 1}, right)["result"] == 2
    page = post(port, b"{}", right, "Origin: http://madrpc.example", host="madrpc.example")
    assert page.status == 200


def test_https_and_client_certificates(servers: Servers) -> None:
    curl = shutil.which("curl")
    if curl is None:
        give_up("curl is not installed")
    guard = Guard.made_in(servers.folder / "files")
    words = (*guard.server_words, "--http", "127.0.0.1:0")
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1, *words)
    settings: dict[str, Any] = guard.client_settings
    url = f"https://127.0.0.1:{http_port(node)}/rpc"
    flags = [
        "--cacert", settings["tls_ca"], "--cert", settings["tls_cert"],
        "--key", settings["tls_key"], "-H", f"Authorization: Bearer {TOKEN}",
    ]  # fmt: skip
    body = '{"jsonrpc":"2.0","id":1,"method":"add","params":{"a":1,"b":2}}'
    ask = [curl, "-sS", "--max-time", "20", url, "--json", body]
    done = subprocess.run([*ask, *map(str, flags)], capture_output=True, text=True, timeout=60)
    assert json.loads(done.stdout)["result"] == 3, done.stderr
    bare = subprocess.run(
        [*ask, "--cacert", str(settings["tls_ca"])], capture_output=True, text=True, timeout=60
    )
    assert bare.returncode != 0
    assert bare.stdout == ""


def test_orders_are_not_taken_over_http(port: int) -> None:
    assert rpc(port, "_drain")["error"]["data"]["name"] == "Unauthenticated"
    assert get(port, "/readyz").status == 200


# ------------------------------------------------------- metrics and health


def test_metrics_are_what_prometheus_reads(server: RunningServer, port: int) -> None:
    rpc(port, "boom")
    reply = get(port, "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=")
    families = {f.name: f for f in text_string_to_metric_families(reply.body.decode())}
    ended = {
        (s.labels["method"], s.labels["outcome"]): s.value for s in families["madrpc_calls"].samples
    }
    assert ended["boom", "JavaScriptError"] >= 1
    buckets = [
        s for s in families["madrpc_call_duration_seconds"].samples
        if s.name.endswith("_bucket") and s.labels["method"] == "boom"
    ]  # fmt: skip
    counts = [s.value for s in buckets]
    assert counts == sorted(counts)
    assert counts[-1] == sum(n for (method, _), n in ended.items() if method == "boom")
    assert {"madrpc_build_info", "madrpc_in_flight_calls", "process_resident_memory_bytes"} <= set(
        families
    )
    own = "madrpc_workers" if server.ready_line.startswith("node") else "madrpc_node_up"
    assert own in families


def test_metrics_pass_promtool(port: int) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        give_up("promtool is not installed (Debian: prometheus)")
    text = get(port, "/metrics").body
    done = subprocess.run(
        [promtool, "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_names_that_callers_invent_make_no_metrics(port: int) -> None:
    for n in range(5):
        rpc(port, f"invented_{n}")
    assert b"invented_" not in get(port, "/metrics").body


def test_a_draining_server_says_so_and_ends_what_it_has(servers: Servers) -> None:
    node = started(servers, "node", "--time-limit", 3)
    port = http_port(node)
    answers: list[Any] = []
    caller = threading.Thread(target=lambda: answers.append(rpc(port, "spin")))
    caller.start()
    with Client(node.address) as client:
        poll_until(lambda: client.metrics()["workers"]["busy"], "the call runs")
    node.send(signal.SIGTERM)
    reply = poll_until(lambda: (r := get(port, "/readyz")).status == 503 and r, "it drains")
    assert reply.body == b"draining\n"
    assert rpc(port, "add", {"a": 1, "b": 1})["error"]["data"]["name"] == "Draining"
    caller.join(20)
    assert answers[0]["error"]["data"]["name"] == "TimeLimitExceeded"
    assert node.stop() == 0


def test_readyz_of_an_orchestrator_without_nodes(servers: Servers) -> None:
    port = http_port(servers.orchestrator(words=("--http", "127.0.0.1:0")))
    assert (get(port, "/readyz").status, get(port, "/livez").status) == (503, 200)


def test_more_connections_than_are_served(servers: Servers) -> None:
    node = started(servers, "node")
    port = http_port(node)
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(1024)]
    try:
        poll_until(lambda: get(port, "/livez").status == 503, "the port is crowded")
    finally:
        for sock in idle:
            sock.close()
    poll_until(lambda: get(port, "/livez").status == 200, "it serves again")
    before = node.fds()
    poll_until(lambda: node.fds() <= before, "descriptors are given back")


def test_the_rate_limit_holds_here_too(servers: Servers) -> None:
    port = http_port(started(servers, "node", "--rate-limit", 5))
    calls = [{"jsonrpc": "2.0", "id": n, "method": "nothing"} for n in range(50)]
    answers = post(port, json.dumps(calls).encode()).json()
    refused = [each["error"]["data"] for each in answers if "error" in each]
    assert refused
    assert all(each["name"] == "Overloaded" for each in refused)
    assert refused[0]["data"]["retry_after_ms"] > 0


def test_an_http_port_that_is_taken_is_a_plain_error(servers: Servers) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = madrpc("node", "-s", servers.script(SCRIPT), "-b", "127.0.0.1:0", "--http", address)
    assert done.returncode == 2
    assert f"{address} is in use" in done.stderr


# ------------------------------------------------------------- other languages


def test_curl_as_the_readme_has_it(port: int) -> None:
    curl = shutil.which("curl")
    if curl is None:
        give_up("curl is not installed")
    body = '{"jsonrpc": "2.0", "id": 1, "method": "add", "params": {"a": 5, "b": 3}}'
    url = f"http://127.0.0.1:{port}/rpc"
    done = subprocess.run(
        [curl, "-sS", url, "--json", body], capture_output=True, text=True, timeout=60
    )
    assert json.loads(done.stdout) == {"jsonrpc": "2.0", "result": 8, "id": 1}


def test_each_port_says_that_the_other_is_meant(server: RunningServer, port: int) -> None:
    """At once: a frame has no line end that HTTP could wait for."""
    told = madrpc("call", f"127.0.0.1:{port}", "add")
    assert told.returncode == 3
    assert "the other side speaks HTTP and this one madrpc's own protocol" in told.stderr
    hello = b"\x16\x03\x01\x02\x00\x01"
    assert b"HTTP/1.1 is spoken here" in exchange(port, hello)
    answer = exchange(server.port, b"POST /rpc HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"own protocol; HTTP is on the port given with --http" in answer


NODE_PROGRAM = """
const {JSONRPCClient} = require("json-rpc-2.0");
const client = new JSONRPCClient(async call => {
  const reply = await fetch(process.argv[2], {
    method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(call),
  });
  if (reply.status === 200) return client.receive(await reply.json());
  if (call.id !== undefined) throw new Error(reply.statusText);
});
const call = (id, a) => ({jsonrpc: "2.0", id, method: "add", params: {a, b: 1}});
(async () => {
  client.notify("add", {a: 1, b: 1});
  const told = {};
  told.one = await client.request("add", {a: 5, b: 3});
  told.error = await client.request("boom", {}).catch(error => error.message);
  told.missing = await client.request("nope", {}).catch(error => error.code);
  const both = await client.requestAdvanced([call("x", 1), call("y", 2)]);
  told.batch = both.map(reply => [reply.id, reply.result]);
  console.log(JSON.stringify(told));
})();
"""


def test_a_public_client_from_npm(port: int, tmp_path: Path) -> None:
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        give_up("npm is not installed")
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", str(tmp_path)]
    got = subprocess.run(
        [npm, "install", *flags, "json-rpc-2.0@1.7.1"],
        capture_output=True, text=True, timeout=240, cwd=tmp_path,
    )  # fmt: skip
    if got.returncode:
        give_up(f"npm could not install the client: {got.stderr[-500:]}")
    program = tmp_path / "program.js"
    program.write_text(NODE_PROGRAM)
    done = subprocess.run(
        [node, program, f"http://127.0.0.1:{port}/rpc"],
        capture_output=True, text=True, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["one"] == 8
    assert "too far" in told["error"]
    assert told["missing"] is not None
    assert told["batch"] == [["x", 2], ["y", 3]]
