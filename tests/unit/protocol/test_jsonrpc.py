"""JSON-RPC 2.0 bodies: what is a call, what is refused, and what is answered."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import InvalidRequest, MadrpcError, ProtocolError
from madrpc.protocol.jsonrpc import MAX_BATCH, JsonCall, JsonFault, answer, failure, parse

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def one(**fields: object) -> JsonCall | JsonFault:
    return parse(json.dumps({"jsonrpc": "2.0", "method": "f", **fields}).encode()).members[0]


def test_a_call_and_a_notification() -> None:
    assert one(id=1, params={"a": 5}) == JsonCall(1, False, "f", {"a": 5})
    assert one() == JsonCall(None, True, "f", {})
    assert one(id=None) == JsonCall(None, False, "f", {})


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"params": [1]}, -32602),
        ({"params": {"a": 2**53}}, -32602),
        ({"params": "x"}, -32600),
        ({"id": True}, -32600),
        ({"id": [1]}, -32600),
        ({"method": 1}, -32600),
        ({"method": "x" * 256}, -32600),
        ({"jsonrpc": "1.0"}, -32600),
    ],
)
def test_what_is_no_call_says_why(fields: dict[str, object], code: int) -> None:
    member = one(**{"id": 1, **fields})
    assert isinstance(member, JsonFault)
    assert (member.error.code, member.notifies) == (code, False)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b'{"a":NaN}', b'{"a":1,"a":2}', b"[" * 100_000, b"9" * 5000]
)
def test_what_is_not_json_is_a_parse_error(body: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(body)
    assert caught.value.code == -32700


def test_batches_have_bounds() -> None:
    for count in (0, MAX_BATCH + 1):
        with pytest.raises(InvalidRequest):
            parse(json.dumps([1] * count).encode())
    assert len(parse(json.dumps([1] * MAX_BATCH).encode()).members) == MAX_BATCH


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused_and_can_be_answered(body: bytes) -> None:
    members: list[JsonCall | JsonFault] = []
    refusal = None
    try:
        members = parse(body).members
    except MadrpcError as error:
        refusal = error
    assert refusal is None or refusal.code in (-32700, -32600)
    for member in members:
        text = answer(member.id, 1)
        if isinstance(member, JsonFault):
            text = failure(member.id, member.error)
        assert json.loads(text)["id"] == member.id
