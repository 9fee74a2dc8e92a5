from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.protocol.messages import request_tail
from madrpc.protocol.meta import (
    is_traceparent,
    meta_of,
    trace_of,
    wants_receipt,
    without_token,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        (None, {}),
        ({}, {}),
        ({"depth": 3, "seed": "x"}, {"depth": 3, "seed": "x"}),
        ([1], {}),
        (5, {}),
        ({"token": "x" * 5000}, {}),
    ],
    ids=["nil", "empty", "map", "list", "number", "large"],
)
def test_meta_can_be_read_alone(meta, found):
    for args in (None, {"a": [1, {"b": 2}]}, {"long": "x" * 1000}):
        assert meta_of(request_tail("add", args, meta)) == found


@pytest.mark.parametrize(("size", "is_read"), [(4096, True), (4097, False)])
def test_meta_may_have_so_many_bytes(size, is_read):
    # A map of one, a key of one letter, and a text with two bytes of length.
    text = "x" * (size - 1 - 2 - 3)
    tail = request_tail("add", None, {"t": text})
    assert len(tail) == len(request_tail("add", None)) - 1 + size
    assert meta_of(tail) == ({"t": text} if is_read else {})


@given(st.binary(max_size=60))
def test_meta_of_anything_is_a_map(junk):
    assert type(meta_of(b"\xa1f" + junk)) is dict
    assert type(meta_of(junk)) is dict


@pytest.mark.parametrize(
    ("meta", "wanted"),
    [
        (None, False),
        ({"receipt": True}, True),
        ({"seed": 1, "receipt": True, "depth": 1}, True),
        ({"receipt": False}, False),
        ({"receipt": 1}, False),
        ({"receipt": "true"}, False),
        ({"seed": "receipt"}, False),
        ({"token": "x" * 5000, "receipt": True}, False),
    ],
)
def test_a_receipt_is_wanted_by_true_and_nothing_else(meta, wanted):
    for args in (None, {"receipt": True}, {"a": "x" * 10_000}):
        assert wants_receipt(request_tail("add", args, meta)) is wanted


def test_a_token_is_taken_out_and_the_rest_stays():
    tail = request_tail("add", {"a": 1}, {"token": "t", "receipt": True})
    assert without_token(tail) == request_tail("add", {"a": 1}, {"receipt": True})
    only = request_tail("add", {"a": 1}, {"token": "t"})
    assert without_token(only) == request_tail("add", {"a": 1})
    assert without_token(only[:-2]) == only[:-2]


@pytest.mark.parametrize(
    "text",
    [
        "",
        TRACE.upper(),
        TRACE + "-x",
        TRACE + "\n",
        " " + TRACE,
        "01" + TRACE[2:],
        TRACE[:-1],
        TRACE.replace("a", "g"),
        "00-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + "-01",
    ],
)
def test_what_is_no_traceparent(text):
    assert not is_traceparent(text)
    assert trace_of({"trace": text}) is None


def test_the_id_of_a_trace():
    assert is_traceparent(TRACE)
    assert trace_of({"trace": TRACE}) == "0af7651916cd43dd8448eb211c80319c"
    assert trace_of({"trace": 5}) is trace_of({}) is None
