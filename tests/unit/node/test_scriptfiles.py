from __future__ import annotations

from collections.abc import Iterator

import pytest

from madrpc.node.scriptfiles import WatchedFiles, fingerprints

A, B, C = (1, 1, 1), (2, 1, 1), (2, 5, 1)


def changes(*looks: tuple[int, int, int] | None) -> list[bool]:
    """Whether each look after the first says that the file has changed."""
    found: Iterator = iter(looks)
    files = WatchedFiles([], lambda: [next(found)])
    return [files.have_changed() for _ in looks[1:]]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([A, A, A], [0, 0]),
        ([A, B, B, B], [0, 1, 0]),
        ([A, B, C, C], [0, 0, 1]),
        ([A, None, B, B], [0, 0, 1]),
        ([A, B, A, A], [0, 0, 0]),
        ([A, *[None] * 20, None, None], [0] * 19 + [1, 0, 0]),
        ([A, *[B, C] * 10, A], [0] * 19 + [1, 0]),
    ],
)
def test_a_change_counts_when_it_is_over(looks, expected):
    assert changes(*looks) == list(map(bool, expected))


def test_a_file_put_in_the_place_of_another_is_seen(tmp_path):
    one, two = tmp_path / "one.js", tmp_path / "two.js"
    one.write_text("1")
    before = fingerprints([str(one)])
    two.write_text("2")
    two.rename(one)
    assert fingerprints([str(one)]) != before
    one.unlink()
    assert fingerprints([str(one)]) == [None]
