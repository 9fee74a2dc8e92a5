"""docs/protocol.md says what is true: its tables, its bytes, its answers and its client."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from madrpc.config import DEFAULT_MAX_FRAME, MAX_METHOD_BYTES, ListenerConfig
from madrpc.errors import ERRORS, MadrpcError
from madrpc.protocol.messages import (
    cancel_frame,
    error_tail,
    request_head,
    request_tail,
    response_head,
    result_tail,
)
from madrpc.protocol.receipts import pack_receipt, response_frame
from madrpc.protocol.values import MAX_DEPTH
from madrpc.version import PROTOCOL_VERSION, __version__
from tests.servers import ROOT, RunningServer, servers_in
from tests.wire.conftest import ISOLATION, wait_for_workers
from tests.wire.raw import Caller, request

TEXT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
SUM_JS = """
madrpc.register("add", ({a, b}) => ({result: a + b}));
madrpc.register("fail", () => { throw new RangeError("out of range"); });
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.M | re.S)


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", TEXT, re.M | re.S)
    assert found is not None, f"no section {title}"
    return found[1]


# ------------------------------------------------------------------ tables


def error_table() -> str:
    """The table of errors as errors.py has it."""
    rows = [
        f"| `{name}` | {kind.code} | {'yes' if kind.retryable else 'no'} | {_meaning(kind)} |"
        for name, kind in sorted(ERRORS.items())
    ]
    return "\n".join(["| name | code | retry | meaning |", "|---|---|---|---|", *rows])


def _meaning(kind: type[MadrpcError]) -> str:
    assert kind.__doc__ is not None
    return kind.__doc__.splitlines()[0].replace("``", "`")


def test_the_table_of_errors_is_the_one_in_the_code() -> None:
    expected = error_table()
    assert expected in TEXT, f"put this table into docs/protocol.md:\n{expected}"
    rows = re.findall(r"^\| `(\w+)` \| -\d+ \| (?:yes|no) \|", TEXT, re.M)
    assert rows == sorted(ERRORS)


def test_numbers_are_those_of_the_code() -> None:
    assert f"The wire protocol, version {PROTOCOL_VERSION}" in TEXT
    assert f"{DEFAULT_MAX_FRAME:,}".replace(",", " ") in TEXT
    assert f"1 to {MAX_METHOD_BYTES} bytes" in TEXT
    assert f"more than {MAX_DEPTH} steps" in TEXT
    connections = ListenerConfig.max_connections
    assert f"{connections:,}".replace(",", " ") in TEXT
    assert f"for {ListenerConfig.write_stall_s:g} seconds" in TEXT


def test_links_inside_the_document_lead_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", TEXT, re.M)
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
    assert set(re.findall(r"\]\(#([^)]*)\)", TEXT)) <= anchors


# ------------------------------------------------------------------- bytes


def example(block: str) -> tuple[Any, bytes]:
    """The message and the bytes of one example."""
    first, *lines = block.splitlines()
    digits = "".join(line.split("  ")[0] for line in lines)
    return json.loads(first), bytes.fromhex(digits)


def encode(message: list[Any]) -> bytes:
    """A message as madrpc writes it."""
    kind, id, *rest = message
    if kind == 2:
        return cancel_frame(id)
    if kind == 0:
        timeout_ms, *fields = rest
        tail = request_tail(*fields)
        return request_head(id, timeout_ms, len(tail)) + tail
    error, result, *receipts = rest
    tail = result_tail(result) if error is None else error_tail(_error(error))
    if receipts:
        return response_frame(id, tail, tuple(map(pack_receipt, receipts)), DEFAULT_MAX_FRAME)
    return response_head(id, len(tail)) + tail


def _error(error: dict[str, Any]) -> MadrpcError:
    made = ERRORS[error["name"]](error["message"], error["data"])
    assert made.to_wire() == error
    return made


@pytest.mark.parametrize("block", blocks("frame"), ids=lambda block: block.splitlines()[0][:40])
def test_bytes_are_those_of_the_code(block: str) -> None:
    message, data = example(block)
    assert data == encode(message), encode(message).hex(" ")


def test_bytes_in_the_shortest_form() -> None:
    (block,) = blocks("frame-short")
    message, data = example(block)
    payload = msgpack.packb(message)
    assert data == len(payload).to_bytes(4, "big") + payload


# ------------------------------------------------------------ live servers


@pytest.fixture(scope="module")
def summing(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningServer, RunningServer]]:
    """The node and the orchestrator that the document's examples come from."""
    with servers_in(tmp_path_factory.mktemp("document")) as servers:
        node = servers.node("-s", servers.script(SUM_JS, "sum.js"), "--pool-size", 2, *ISOLATION)
        orchestrator = servers.orchestrator(node)
        with Caller(node.address) as first, Caller(orchestrator.address) as second:
            wait_for_workers(first)
            second.call("add", {"a": 5, "b": 3})
            second.refused(request(5, "fail"))
        yield node, orchestrator


def test_example_errors_are_real_answers(summing: tuple[RunningServer, RunningServer]) -> None:
    messages = [example(block)[0] for block in blocks("frame")]
    with Caller(summing[0].address) as caller:
        for message in messages:
            if message[0] == 1 and message[2] is not None and message[1] == 2:
                assert caller.refused(request(2, "ad"), 2) == message[2]
        caller.write(bytes(4))
        assert caller.read() == tuple(next(m for m in messages if m[0] == 1 and m[1] == 0)[1:])


EXAMPLES = re.findall(
    r"^`(_\w+)` from an? (node|orchestrator)(?:(?!```).)*?:\n\n```json\n(.*?)^```$",
    TEXT,
    re.M | re.S,
)


@pytest.mark.parametrize(
    ("method", "role", "text"),
    EXAMPLES,
    ids=[f"{method}-{role}" for method, role, *_ in EXAMPLES],
)
def test_builtins_answer_as_described(
    summing: tuple[RunningServer, RunningServer], method: str, role: str, text: str
) -> None:
    server = summing[role == "orchestrator"]
    with Caller(server.address) as caller:
        args = {"nodes": False} if (method, role) == ("_metrics", "orchestrator") else None
        answer = caller.call(method, args)
    told, expected = shape(answer), shape(json.loads(text))
    if method == "_recent":
        # A slow machine knows more of a call, because it took longer.
        for row in (told["slowest"][0], expected["slowest"][0]):
            assert {row.pop("context_ms"), row.pop("run_ms")} <= {None, "number"}
            row.pop("wire_ms" if role == "orchestrator" else "queue_ms")
    assert told == expected


def test_every_builtin_is_described(summing: tuple[RunningServer, RunningServer]) -> None:
    described = {(method, role) for method, role, *_ in EXAMPLES}
    assert len(described) == len(EXAMPLES) == 10
    examples = [json.loads(text) for text in blocks("register")]
    assert [name for name, *_ in examples] == ["_register", "_deregister"]
    node, orchestrator = summing
    with Caller(node.address) as caller, Caller(orchestrator.address) as other:
        for name, *_ in examples:
            assert caller.refused(request(5, name))["name"] == "MethodNotFound"
            assert other.refused(request(5, name))["name"] == "InvalidRequest"
        (name, args, result), _ = examples
        assert list(args) == ["address"]
        assert other.call(name, {"address": node.address}) == result
        goodbye = request(5, "_deregister", {"address": node.address})
        assert "not draining" in other.refused(goodbye)["message"]


def test_an_order_to_drain_is_described(summing: tuple[RunningServer, RunningServer]) -> None:
    (text,) = blocks("order")
    name, args, _ = json.loads(text)
    with Caller(summing[1].address) as caller:
        refusal = caller.refused(request(5, name, args))
    assert refusal["name"] == "InvalidRequest"
    assert args["node"] in refusal["message"]


def test_a_deployment_is_described(summing: tuple[RunningServer, RunningServer]) -> None:
    (text,) = blocks("deploy")
    name, args, result = json.loads(text)
    with Caller(summing[1].address) as caller:
        # The share of one node is no canary; what the document leaves out of a script is no script.
        refusal = caller.refused(request(5, name, args))
        assert "node 127.0.0.1:" in refusal["message"]
        args = {"scripts": [{"name": "sum.js", "source": SUM_JS}]}
        assert caller.call(name, args).keys() == result.keys()


def shape(value: Any) -> Any:
    """Keys and types; of the items of a list only the first counts."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    if isinstance(value, bool) or value is None:
        return value
    return "number" if isinstance(value, (int, float)) else "text"


def test_meta_keys_are_honoured_as_the_table_says(
    summing: tuple[RunningServer, RunningServer], start_node: Callable[..., RunningServer]
) -> None:
    assert f"| honoured by {__version__} |" in section("Meta")
    honoured = dict(re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", section("Meta"), re.M))
    assert set(honoured) == {"seed", "depth", "trace", "receipt", "token"}
    node = start_node(source='madrpc.register("random", () => Math.random());')
    with Caller(node.address) as caller:
        drawn = []
        for seed in (7, 7, 8):
            caller.write(request(1, "random", None, 0, {"seed": seed}))
            drawn.append(caller.answers(1)[1])
    repeats = drawn[0] == drawn[1] != drawn[2]
    assert repeats == (honoured["seed"] == "yes")


# -------------------------------------------------------------- the client


@pytest.fixture
def namespace() -> dict[str, Any]:
    """What the document's client defines."""
    (source,) = blocks("python")
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, str(Path("docs/protocol.md")), "exec"), names)
    return names


@pytest.mark.parametrize("role", [0, 1], ids=["node", "orchestrator"])
def test_the_client_works(
    summing: tuple[RunningServer, RunningServer], namespace: dict[str, Any], role: int
) -> None:
    client = namespace["MiniClient"]("127.0.0.1", summing[role].port)
    try:
        assert client.call("add", {"a": 5, "b": 3}) == {"result": 8}
        ids = [client.send("add", {"a": n, "b": 1}) for n in range(200)]
        assert [client.result(id)["result"] for id in reversed(ids)] == list(range(200, 0, -1))
        with pytest.raises(namespace["CallFailed"], match="JavaScriptError: RangeError") as caught:
            client.call("fail")
        assert caught.value.name == "JavaScriptError"
        with pytest.raises(namespace["CallFailed"], match="MethodNotFound"):
            client.call("ad")
        assert not client.waiting
    finally:
        client.sock.close()


def test_the_client_meets_deadlines_and_the_end(
    start_node: Callable[..., RunningServer], namespace: dict[str, Any]
) -> None:
    spin = 'madrpc.register("spin", () => { for (;;); }); madrpc.register("one", () => 1);'
    node = start_node(source=spin)
    client = namespace["MiniClient"]("127.0.0.1", node.port)
    try:
        # On a busy machine the client's own deadline may come first.
        with pytest.raises((namespace["CallFailed"], TimeoutError), match=r"CallTimeout|timed out"):
            client.call("spin", timeout=0.2)
        id = client.send("spin", timeout=20)
        with pytest.raises(TimeoutError):
            client.result(id, timeout=-0.3)
        assert client.call("one") == 1  # the cancelled call's answer came first and was dropped
        assert not client.waiting
        client.sock.sendall(bytes(4))
        with pytest.raises(ConnectionError, match="a frame of length 0 arrived"):
            client.call("one")
    finally:
        client.sock.close()


def test_receipts_have_the_keys_that_the_tables_name(
    summing: tuple[RunningServer, RunningServer],
) -> None:
    keys = re.findall(r"^\| `(\w+)` \|", section("Receipts"), re.M)
    first = keys.index("orchestrator")
    node, orchestrator = summing
    for server, expected in ((node, [keys[:first]]), (orchestrator, [keys[:first], keys[first:]])):
        with Caller(server.address) as caller:
            caller.write(request(5, "add", {"a": 5, "b": 3}, 0, {"receipt": True}))
            payload = caller.read_payload()
            assert payload is not None
            assert payload[0] == 0x94 + len(expected)
            kind, id, error, result, *receipts = msgpack.unpackb(payload)
            assert (kind, id, error, result) == (1, 5, None, {"result": 8})
            assert [list(receipt) for receipt in receipts] == expected
            parts = [receipts[0][f"{part}_ms"] for part in ("queue", "context", "run", "parked")]
            assert sum(parts) == pytest.approx(receipts[0]["total_ms"], abs=0.1)
            caller.write(request(5, "fail", None, 0, {"receipt": True}))
            payload = caller.read_payload()
            assert payload is not None
            assert len(msgpack.unpackb(payload)) == 4 + len(expected)
            assert caller.call("add", {"a": 5, "b": 3}) == {"result": 8}
