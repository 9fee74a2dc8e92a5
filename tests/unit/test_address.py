from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.address import Address, AddressError, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("example.org:8080", ("example.org", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("10.0.0.1:0", ("10.0.0.1", 0)),
        ("h:65535", ("h", 65535)),
        ("[::1]:8080", ("::1", 8080)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("[]:80", ("127.0.0.1", 80)),
        ("madrpc://h:80", ("h", 80)),
        ("tcp://h:80/", ("h", 80)),
        ("  h:80\n", ("h", 80)),
        ("madrpc://[::1]:80/", ("::1", 80)),
    ],
)
def test_addresses_as_people_write_them(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["h", "h:", "[::1]", "[::1]:", "", ":", "madrpc://h"])
def test_a_port_is_required_unless_there_is_a_default(text):
    with pytest.raises(AddressError, match="has no port"):
        parse_address(text)
    assert parse_address(text, default_port=0).port == 0


def test_the_default_host_can_be_given():
    assert parse_address(":80", default_host="0.0.0.0") == ("0.0.0.0", 80)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("h:x", "port must be 0 to 65535"),
        ("h:65536", "port must be 0 to 65535"),
        ("h:-1", "port must be 0 to 65535"),
        ("h:80/path", "port must be 0 to 65535"),
        ("h: 80", "port must be 0 to 65535"),
        ("h:٨٠", "port must be 0 to 65535"),
        ("h:²", "port must be 0 to 65535"),
        ("::1:80", "brackets"),
        ("::1", "brackets"),
        ("http://h:80", "is an HTTP address"),
        ("[::1", r"write \[IPv6\]:PORT"),
        ("[::1]80", r"write \[IPv6\]:PORT"),
        ("h:" + "9" * 5000, "port"),
    ],
)
def test_what_is_no_address_is_refused_with_the_mend(text, says):
    with pytest.raises(AddressError, match=says) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)


hosts = st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True) | st.ip_addresses().map(str)


@given(hosts, st.integers(0, 65535))
def test_what_is_printed_is_read_again(host, port):
    address = Address(host, port)
    assert parse_address(str(address)) == address


def test_an_ipv6_address_is_printed_in_brackets():
    assert str(Address("::1", 80)) == "[::1]:80"
    assert str(Address("h", 80)) == "h:80"


@given(st.text(max_size=30))
def test_any_text_is_an_address_or_an_address_error(text):
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert 0 <= address.port <= 65535
    assert address.host
