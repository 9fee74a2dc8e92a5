"""Calls that wait for a worker."""

from __future__ import annotations

from madrpc.policy.backlog import Backlog


class Item:
    def __init__(self) -> None:
        self.waits = True


def backlog(most: int = 3, most_bytes: int = 100) -> Backlog[Item]:
    return Backlog(most, most_bytes, lambda item: item.waits)


def fill(found: Backlog[Item], count: int, *, nested: bool = False, size: int = 10) -> list[Item]:
    items = [Item() for _ in range(count)]
    for item in items:
        found.add(item, size, nested=nested, first=False)
    return items


def test_nested_items_go_first_and_each_kind_in_its_order() -> None:
    found = backlog()
    new = fill(found, 2)
    nested = fill(found, 2, nested=True)
    assert list(found) == [*nested, *new]
    taken = [found.take(only_nested=False) for _ in range(5)]
    assert taken == [*nested, *new, None]


def test_a_worker_may_ask_for_nested_items_only() -> None:
    found = backlog()
    fill(found, 1)
    assert found.take(only_nested=True) is None


def test_what_is_put_first_comes_first() -> None:
    found = backlog()
    (later,) = fill(found, 1)
    urgent = Item()
    found.add(urgent, 10, nested=False, first=True)
    assert list(found) == [urgent, later]


def test_room_is_bounded_by_count_and_by_bytes() -> None:
    found = backlog(most=3, most_bytes=25)
    assert found.has_room(1_000)
    fill(found, 2)
    assert found.has_room(5)
    assert not found.has_room(6)
    fill(found, 1, size=1)
    assert not found.has_room(0)
    found.removed(10)
    assert (len(found), found.bytes) == (2, 11)
    assert found.has_room(14)


def test_items_that_left_are_passed_over_and_do_not_pile_up() -> None:
    found = backlog()
    for _ in range(200):
        for item in fill(found, 2, nested=True) + fill(found, 2):
            item.waits = False
            found.removed(10)
    assert len(found._nested) + len(found._new) < 40
    assert (len(found), found.take(only_nested=False)) == (0, None)


def test_its_state_is_its_repr() -> None:
    found = backlog()
    fill(found, 2)
    assert repr(found) == "<Backlog 2 items, 20 bytes>"
