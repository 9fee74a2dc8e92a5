"""Which sockets of the service manager are taken for this process's own."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from madrpc.cli import activation
from madrpc.cli.activation import inherited_sockets

MINE = str(os.getpid())


@pytest.fixture
def descriptors(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Two descriptors in a row that a child would inherit; the first stands for number 3."""
    both = os.pipe()
    first = max(both) + 100
    pair = (first, first + 1)
    for source, target in zip(both, pair, strict=True):
        os.dup2(source, target)
        os.close(source)
    monkeypatch.setattr(activation, "_FIRST", first)
    yield pair
    for descriptor in pair:
        os.close(descriptor)


def test_sockets_for_this_process_are_taken_and_kept_from_children(
    descriptors: tuple[int, int],
) -> None:
    variables = {"LISTEN_PID": MINE, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:b", "OTHER": "stays"}
    assert inherited_sockets(variables) == descriptors
    assert variables == {"OTHER": "stays"}
    assert not any(map(os.get_inheritable, descriptors))


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": MINE},
        {"LISTEN_PID": MINE, "LISTEN_FDS": "0"},
        {"LISTEN_PID": MINE, "LISTEN_FDS": "-1"},
        {"LISTEN_PID": MINE, "LISTEN_FDS": "one"},
    ],
)
def test_others_are_left_alone(variables: dict[str, str], descriptors: tuple[int, int]) -> None:
    assert inherited_sockets(variables) == ()
    assert variables == {}
    assert all(map(os.get_inheritable, descriptors))
