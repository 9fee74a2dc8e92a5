from __future__ import annotations

import copy
import pickle

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

import madrpc
from madrpc import errors
from madrpc.errors import ERRORS, CallTimeout, JavaScriptError, MadrpcError, from_wire
from madrpc.protocol.messages import error_tail, unpack_error

KINDS = pytest.mark.parametrize("kind", ERRORS.values(), ids=ERRORS.keys())
DATA = {"a": [1, None, "x"], "b": {"c": 1.5}}

wire_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.binary(), inner)
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("name", "message", "data", "code"), inner)
        )
    ),
    max_leaves=15,
)


@KINDS
def test_every_kind_says_what_it_is(kind):
    error = kind("what went wrong", DATA)
    assert str(error) == error.message == "what went wrong"
    assert error.name == kind.__name__
    assert error.data == DATA
    assert isinstance(error, MadrpcError)
    assert kind.__doc__


@KINDS
def test_every_kind_survives_pickling_and_copying(kind):
    error = kind("what went wrong", DATA)
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(other) is kind
        assert (other.name, other.message, other.data) == (error.name, error.message, DATA)
        assert str(other) == str(error)


@KINDS
def test_every_kind_survives_the_wire(kind):
    error = kind("what went wrong", DATA)
    for wire in (error.to_wire(), msgpack.unpackb(msgpack.packb(error.to_wire()))):
        other = from_wire(wire)
        assert type(other) is kind
        assert other.to_wire() == error.to_wire()
    assert from_wire(unpack_error(error_tail(error))).to_wire() == error.to_wire()


@KINDS
def test_an_error_without_details_has_empty_ones(kind):
    error = kind()
    assert (error.message, error.data, str(error)) == ("", {}, "")


@KINDS
def test_codes_are_numbers_json_rpc_leaves_to_servers(kind):
    standard = {-32700, -32600, -32601, -32602, -32603}
    assert kind.code in standard or -32099 <= kind.code <= -32000


def test_only_the_root_shares_a_code():
    codes: dict[int, set[str]] = {}
    for name, kind in ERRORS.items():
        codes.setdefault(kind.code, set()).add(name)
    shared = [names for names in codes.values() if len(names) > 1]
    assert shared == [{"MadrpcError", "InternalError"}]


@KINDS
def test_exit_codes_are_the_documented_ones(kind):
    assert kind.exit_code in {1, 2, 3, 4, 6, 130}


def test_the_table_the_module_and_the_package_agree():
    tree = {name for name in errors.__all__ if name not in ("ERRORS", "from_wire")}
    assert set(ERRORS) == tree
    assert tree <= set(madrpc.__all__)
    for name in tree:
        assert ERRORS[name] is getattr(errors, name) is getattr(madrpc, name)
        assert name in errors.__doc__ or name == "MadrpcError"


def test_details_are_the_errors_own():
    details = {"a": 1}
    error = MadrpcError("x", details)
    details["a"] = 2
    assert error.data == {"a": 1}


def test_a_timeout_is_the_builtin_one_too():
    with pytest.raises(TimeoutError, match="late"):
        raise CallTimeout("late", {"waited_ms": 5})


def test_a_javascript_error_gives_its_name_and_stack():
    error = JavaScriptError("TypeError: x", {"name": "TypeError", "stack": "at f"})
    assert (error.js_name, error.stack) == ("TypeError", "at f")
    assert (JavaScriptError().js_name, JavaScriptError().stack) == ("Error", "")


# ------------------------------------------------------------------ from_wire


def test_an_unknown_name_is_kept_on_the_root():
    error = from_wire({"code": -1, "name": "FromTheFuture", "message": "m", "data": {"a": 1}})
    assert type(error) is MadrpcError
    assert (error.name, error.message, error.data) == ("FromTheFuture", "m", {"a": 1})
    assert pickle.loads(pickle.dumps(error)).name == "FromTheFuture"
    assert error.to_wire()["name"] == "FromTheFuture"
    assert not error.retryable


@pytest.mark.parametrize("value", [None, 5, "x", [], b"x", True])
def test_what_is_no_map_is_a_protocol_error(value):
    error = from_wire(value)
    assert error.name == "ProtocolError"
    assert type(value).__name__ in error.message


def test_a_long_value_is_shortened():
    assert len(from_wire("x" * 10_000).message) < 300


@pytest.mark.parametrize("data", [None, 5, "x", [1]])
def test_details_that_are_no_map_are_dropped(data):
    assert from_wire({"name": "Overloaded", "message": "m", "data": data}).data == {}


@pytest.mark.parametrize("message", [None, "", 0, ["m"]])
def test_a_message_that_is_no_text_is_empty(message):
    assert from_wire({"name": "Overloaded", "message": message}).message == ""


@pytest.mark.parametrize("value", [{}, {"name": None}, {"name": ["x"]}, {"name": ""}])
def test_a_name_that_is_no_text_is_the_roots(value):
    assert from_wire(value).name == "MadrpcError"


@given(wire_values)
def test_from_wire_never_raises(value):
    error = from_wire(value)
    assert isinstance(error, MadrpcError)
    assert type(error.message) is str
    assert type(error.name) is str
    assert type(error.data) is dict


@pytest.mark.parametrize("key", [None, "name", "message"])
def test_from_wire_never_raises_for_deep_values(key):
    deep: object = None
    for _ in range(1000):
        deep = [deep]
    assert isinstance(from_wire(deep if key is None else {key: deep}), MadrpcError)
