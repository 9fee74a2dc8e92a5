"""Names that a wrong name may have been meant to be."""

from __future__ import annotations

import pytest

from madrpc.policy.suggest import method_not_found


def test_similar_names_are_the_closest_first_and_three_at_most():
    names = ["add", "addd", "adds", "added", "zzz"]
    error = method_not_found("addd", names)
    assert error.data["similar"][0] == "addd"
    assert len(error.data["similar"]) == 3
    assert "did you mean 'addd'?" in error.message


def test_without_a_similar_name_the_message_says_where_to_look():
    error = method_not_found("qqq", ["add"])
    assert error.data == {"similar": []}
    assert "madrpc methods" in error.message


def test_the_longest_name_costs_no_more_than_its_first_letters():
    error = method_not_found("a" * 64 + "b" * 191, ["a" * 64])
    assert error.data["similar"] == ["a" * 64]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("esitmate_pi", "estimate_pi"), ("Add", "add"), ("b", "bb"), ("fitLine", "fit_line")],
)
def test_the_right_name_is_found_among_a_thousand(wrong: str, right: str) -> None:
    names = [*(f"function_{number}" for number in range(990)), right]
    assert method_not_found(wrong, names).data["similar"][0] == right


def test_names_without_end_are_not_all_compared() -> None:
    asked = 0

    def names():  # type: ignore[no-untyped-def]
        nonlocal asked
        while True:
            asked += 1
            yield f"name_{asked}" * 20

    assert method_not_found("name_x", names()).data["similar"] == []
    assert asked <= 1001
