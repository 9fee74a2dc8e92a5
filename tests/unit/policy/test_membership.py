from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from madrpc.policy.membership import Change, Membership, Registrations

NAMES = st.sets(st.sampled_from("abcdef"))


def test_what_a_source_names_is_there_until_it_no_longer_does():
    members = Membership()
    assert members.update("file", ["b", "a"]) == Change(["b", "a"], [])
    assert members.update("file", ["a", "c"]) == Change(["c"], ["b"])
    assert members.update("file", ["a", "c"]) == Change([], [])
    assert members.update("file", []) == Change([], ["a", "c"])


def test_a_node_of_two_sources_is_one_node():
    members = Membership()
    members.update("file", ["a"])
    assert members.update("dns", ["a"]) == Change([], [])
    assert len(members) == 1
    assert members.sources_of("a") == ["file", "dns"]
    assert members.update("file", []) == Change([], [])
    assert "a" in members
    assert members.update("dns", []) == Change([], ["a"])
    assert "a" not in members


def test_an_address_named_twice_by_one_source_is_added_once():
    assert Membership().update("file", ["a", "a"]) == Change(["a"], [])


@given(st.lists(st.tuples(st.sampled_from("xyz"), NAMES), max_size=20))
def test_changes_add_up_to_what_the_sources_name(news):
    members, live, named = Membership(), set(), {}
    for source, addresses in news:
        change = members.update(source, addresses)
        assert not live & set(change.added)
        live |= set(change.added)
        assert set(change.removed) <= live
        live -= set(change.removed)
        named[source] = addresses
        assert live == set().union(*named.values())


def test_a_registration_lasts_as_long_as_it_is_renewed():
    table = Registrations(ttl_s=15)
    assert table.renew("a", 100)
    assert not table.renew("a", 110)
    assert table.expire(124.9) == []
    assert table.expire(125) == ["a"]
    assert table.renew("a", 126)


def test_a_goodbye_ends_a_registration_once():
    table = Registrations()
    table.renew("a", 0)
    assert table.remove("a")
    assert not table.remove("a")
    assert table.addresses == []


def test_the_table_is_bounded():
    table = Registrations(most=2)
    table.renew("a", 0)
    assert not table.is_full
    table.renew("b", 0)
    assert table.is_full
    assert "b" in table
