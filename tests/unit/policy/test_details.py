from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.details import (
    MOST_ASKED,
    details_that_fit,
    merged_details,
    representatives,
)


def described(name: str) -> dict:
    return {"signature": f"{name}(a)", "summary": "", "params": [{"name": "a"}]}


WIRE = st.dictionaries(
    st.text(max_size=20),
    st.fixed_dictionaries(
        {
            "signature": st.text(max_size=50),
            "summary": st.text(max_size=50),
            "params": st.lists(
                st.dictionaries(st.text(max_size=5), st.text(max_size=9)), max_size=3
            ),
        }
    ),
    max_size=20,
)


@given(WIRE, st.integers(0, 5000))
def test_what_fits_takes_no_more_than_its_share(details, max_frame):
    kept = details_that_fit(details, max_frame)
    assert len(msgpack.packb(kept)) <= max_frame // 4 + 1
    assert list(kept) == list(details)[: len(kept)]
    assert details_that_fit(details, 2**24) == details


def test_the_first_word_on_each_function_counts_and_unknown_ones_do_not():
    first = {"details": {"b": described("b"), "x": described("x")}}
    second = {"details": {"b": described("other"), "a": described("a")}}
    merged = merged_details([first, second], ["a", "b", "c"], 2**20)
    assert merged == {"a": described("a"), "b": described("b")}
    assert list(merged) == ["a", "b"]


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, {"details": None}, {"details": []}, {"details": {"a": None}},
        {"details": {"a": {}}}, {"details": {"a": {**described("a"), "summary": 1}}},
        {"details": {"a": {**described("a"), "signature": None}}},
        {"details": {"a": {**described("a"), "params": "no"}}},
        {"details": {"a": {**described("a"), "params": [1]}}},
        {"details": {1: described("a")}},
    ],
)  # fmt: skip
def test_answers_that_are_not_as_they_should_be_are_left_out(answer):
    assert merged_details([answer], ["a"], 2**20) == {}


def test_one_node_is_asked_for_each_set_of_scripts():
    nodes = [("n1", ["a"], "r1"), ("n2", ["a"], "r1"), ("n3", ["b"], "r2"), ("n4", [], "r3")]
    assert representatives(nodes) == {"n1", "n3"}
    many = [(f"n{number}", ["a"], number) for number in range(3 * MOST_ASKED)]
    assert len(representatives(many)) == MOST_ASKED
