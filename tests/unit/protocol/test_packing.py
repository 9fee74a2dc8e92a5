"""Both packers give the same bytes, values and refusals."""

from __future__ import annotations

import dataclasses
import datetime
import enum
import gc
import math
import uuid
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.protocol import packing
from madrpc.protocol.packing import pack, unpack_fields

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


class Colour(enum.Enum):
    RED = 1


@dataclasses.dataclass
class Point:
    x: int = 1


@pytest.fixture(params=["installed", "msgpack alone"])
def packer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "msgpack alone":
        monkeypatch.setattr(packing, "ormsgpack", None)


@given(JSON)
def test_the_bytes_are_those_of_msgpack(value: Any) -> None:
    assert pack(value) == msgpack.packb(value)


@given(st.lists(JSON, min_size=1, max_size=5))
def test_fields_come_back(values: list[Any]) -> None:
    data = b"".join(map(pack, values))
    # NaN is equal to nothing, but prints as itself.
    assert repr(unpack_fields(data, len(values))) == repr(values)


@given(st.binary(max_size=200), st.integers(1, 3))
def test_random_bytes_mean_the_same_to_both(data: bytes, count: int) -> None:
    def outcome() -> str:
        try:
            return repr(unpack_fields(data, count))
        except Exception as error:
            return type(error).__name__

    found = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "ormsgpack", None)
        assert outcome() == found


@pytest.mark.usefixtures("packer")
@pytest.mark.parametrize(
    "value", [Colour.RED, Point(), datetime.datetime(2026, 1, 1), uuid.UUID(int=1), {1}, object()]
)
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        pack(value)


@pytest.mark.usefixtures("packer")
def test_integers_and_text_that_do_not_fit_are_refused_by_name() -> None:
    with pytest.raises(OverflowError):
        pack(2**64)
    with pytest.raises(UnicodeEncodeError):
        pack("\ud800")


@pytest.mark.usefixtures("packer")
@pytest.mark.parametrize(
    "data",
    [b"", b"\xc0\xc0", b"\x81\x01\x01", b"\xd4\x05\x01", b"\xa1\xff", b"\xc1"],
    ids=["nothing", "surplus", "number as key", "extension", "no UTF-8", "reserved"],
)
def test_faults_raise(data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  msgpack raises many unrelated types
        unpack_fields(data, 1)


@pytest.mark.usefixtures("packer")
def test_nesting_is_no_way_to_overflow_the_stack() -> None:
    deep = b"\x91" * 100_000 + b"\xc0"
    with pytest.raises(msgpack.exceptions.StackError):
        unpack_fields(deep, 1)
    assert unpack_fields(b"\x91" * 600 + b"\xc0", 1)


@pytest.mark.usefixtures("packer")
def test_announced_sizes_allocate_nothing() -> None:
    for start in (b"\xdd", b"\xdf", b"\xdb", b"\xc6"):
        with pytest.raises(Exception):  # noqa: B017, PT011
            unpack_fields(start + b"\xff\xff\xff\xff", 1)


@pytest.mark.usefixtures("packer")
def test_the_collector_rests_for_large_values_only_and_is_left_as_it_was() -> None:
    data = pack([{"n": n} for n in range(20_000)])
    before = gc.get_stats()[0]["collections"]
    rows = unpack_fields(data, 1)[0]
    during = gc.get_stats()[0]["collections"] - before
    assert len(rows) == 20_000
    assert during <= 2
    assert gc.isenabled()
    with pytest.raises(Exception):  # noqa: B017, PT011
        unpack_fields(data[:-1], 1)
    assert gc.isenabled()


def test_not_a_number_survives() -> None:
    assert math.isnan(unpack_fields(pack(math.nan), 1)[0])
