"""TLS sessions against each other, with no socket between them."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madrpc.config import TlsFiles
from madrpc.errors import Unauthenticated
from madrpc.tls import TlsSession, client_context, server_context
from tests.guard import Guard


@pytest.fixture(scope="module")
def guard(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    return Guard.made_in(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    return Guard.made_in(tmp_path_factory.mktemp("others"))


def files(guard: Guard, who: str, *, ca: Guard | None = None) -> TlsFiles:
    return TlsFiles(guard[f"{who}.pem"], guard[f"{who}-key.pem"], (ca or guard)["ca.pem"])


def pair(
    server: TlsFiles, client: TlsFiles, name: str = "localhost"
) -> tuple[TlsSession, TlsSession]:
    return (
        TlsSession(server_context(server), plain_answer=b"speak TLS"),
        TlsSession(client_context(client), name),
    )


def exchange(one: TlsSession, other: TlsSession) -> tuple[bytes, bytes]:
    """Carry bytes between the two until neither has more; return what each was told."""
    told = [b"", b""]
    while True:
        from_one, from_other = one.take(), other.take()
        if not from_one and not from_other:
            return told[0], told[1]
        if from_other:
            told[0] += one.receive(from_other)
        if from_one:
            told[1] += other.receive(from_one)


def test_both_sides_open_and_talk(guard: Guard) -> None:
    server, client = pair(files(guard, "server"), files(guard, "client"))
    assert "shaking" in repr(client)
    exchange(server, client)
    assert server.is_open
    assert client.is_open
    server.write(b"hello")
    client.write(b"x" * 1_000_000)
    assert exchange(server, client) == (b"x" * 1_000_000, b"hello")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 400), min_size=1, max_size=60), st.binary(max_size=3000))
def test_bytes_may_come_in_any_pieces(guard: Guard, sizes: list[int], text: bytes) -> None:
    server, client = pair(files(guard, "server"), files(guard, "client"))
    exchange(server, client)
    client.write(text)
    cipher, told = client.take(), b""
    for size in sizes:
        if cipher:
            told += server.receive(cipher[:size])
            cipher = cipher[size:]
    if cipher:
        told += server.receive(cipher)
    assert told == text


def test_a_server_alone_may_have_a_certificate(guard: Guard) -> None:
    bare = TlsFiles(guard["server.pem"], guard["server-key.pem"])
    server, client = pair(bare, TlsFiles(ca=guard["ca.pem"]), "127.0.0.1")
    exchange(server, client)
    assert server.is_open
    assert client.is_open


def test_a_caller_without_a_certificate_is_refused(guard: Guard) -> None:
    server, client = pair(files(guard, "server"), TlsFiles(ca=guard["ca.pem"]))
    with pytest.raises(Unauthenticated, match="showed no certificate and one is required"):
        exchange(server, client)
    with pytest.raises(Unauthenticated, match="the server requires a certificate"):
        client.receive(server.take())


def test_a_server_of_another_authority_is_refused(guard: Guard, other: Guard) -> None:
    server, client = pair(files(guard, "server"), files(other, "client"))
    with pytest.raises(Unauthenticated, match=r"not accepted: .*certificate"):
        exchange(server, client)
    with pytest.raises(Unauthenticated, match="does not know the authority"):
        server.receive(client.take())


def test_a_client_of_another_authority_is_refused(guard: Guard, other: Guard) -> None:
    server, client = pair(files(guard, "server"), files(other, "client", ca=guard))
    with pytest.raises(Unauthenticated, match=r"not accepted: .*certificate"):
        exchange(server, client)
    with pytest.raises(Unauthenticated, match=r"authority|did not accept"):
        client.receive(server.take())


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    old = Guard.made_in(tmp_path / "old", days=0)
    server, client = pair(files(old, "server"), files(old, "client"))
    with pytest.raises(Unauthenticated, match="certificate has expired"):
        exchange(server, client)
    with pytest.raises(Unauthenticated, match=r"this side.s certificate has expired"):
        server.receive(client.take())


def test_a_certificate_for_another_name_is_refused(guard: Guard) -> None:
    server, client = pair(files(guard, "server"), files(guard, "client"), "elsewhere.example")
    with pytest.raises(Unauthenticated, match=r"Hostname mismatch.*elsewhere.example"):
        exchange(server, client)


@pytest.mark.parametrize("data", [b"\x00\x00\x00\x10", b"GET / HTTP/1.1\r\n\r\n", b"\xff"])
def test_a_caller_without_tls_is_answered_in_its_own_language(guard: Guard, data: bytes) -> None:
    server, _ = pair(files(guard, "server"), files(guard, "client"))
    with pytest.raises(Unauthenticated, match="does not speak TLS"):
        server.receive(data)
    assert server.take() == b"speak TLS"


def test_a_server_without_tls_is_recognised(guard: Guard) -> None:
    _, client = pair(files(guard, "server"), files(guard, "client"))
    with pytest.raises(Unauthenticated, match="the other side does not speak TLS"):
        client.receive(b"\x00\x00\x00\x10\x94\x01\xce")


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=200, deadline=None)
def test_noise_is_refused_or_waited_for(guard: Guard, data: bytes) -> None:
    server, _ = pair(files(guard, "server"), files(guard, "client"))
    try:
        assert server.receive(data) == b""
    except Unauthenticated as error:
        assert error.message.startswith("TLS: ")  # noqa: PT017
    assert not server.is_open


def test_a_goodbye_ends_the_session(guard: Guard) -> None:
    server, client = pair(files(guard, "server"), files(guard, "client"))
    exchange(server, client)
    client._object.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client._object.unwrap()
    assert server.receive(client.take()) == b"last"
    assert server.is_ended


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda g: server_context(TlsFiles(ca=g["ca.pem"])), "needs a certificate"),
        (lambda g: server_context(TlsFiles("/no/such.pem")), "cannot read /no/such.pem"),
        (lambda g: server_context(TlsFiles(g["server.pem"], "/no/key")), "or /no/key: no such"),
        (lambda g: server_context(TlsFiles(g["token"])), "not a certificate"),
        (lambda g: server_context(TlsFiles(g["server.pem"])), "not a certificate with its private"),
        (lambda g: server_context(TlsFiles(g["server.pem"], g["client-key.pem"])),
         "the key does not belong to the certificate"),
        (lambda g: client_context(TlsFiles(ca="/no/ca.pem")), "cannot read /no/ca.pem: no such"),
        (lambda g: client_context(TlsFiles(ca=g["token"])), "holds no certificate"),
    ],
)  # fmt: skip
def test_files_that_are_no_good_are_named(guard: Guard, make, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unauthenticated, match=message):
        make(guard)
