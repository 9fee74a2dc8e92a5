"""Tokens and certificates on every hop, and what those without them get."""

from __future__ import annotations

import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client, Overloaded, Unauthenticated
from tests.guard import TOKEN, Guard
from tests.servers import RunningServer, Servers, give_up, madrpc, poll_until, servers_in
from tests.wire.raw import Caller, request

SCRIPT = """
madrpc.register("add", ({a, b}) => a + b);
madrpc.register("echo", args => args);
madrpc.register("sum", async ({n}) => (await Promise.all(
  Array.from({length: n}, (_, i) => madrpc.call("add", {a: i, b: 1})))).reduce((x, y) => x + y, 0));
"""


class Guarded:
    """An orchestrator and two nodes, one of which registers itself."""

    def __init__(self, servers: Servers, guard: Guard) -> None:
        self.guard = guard
        script = servers.script(SCRIPT)
        words = (*guard.server_words, "-s", script, "--pool-size", 1)
        named = servers.node(*words)
        self.orchestrator: RunningServer = servers.orchestrator(named, words=guard.server_words)
        self.node = servers.node(*words, "--orchestrator", self.orchestrator.address)
        # Says nothing from now on; the last test looks at what became of it.
        self.silent = socket.create_connection(("127.0.0.1", self.node.port))
        with self.client() as client:
            poll_until(lambda: len(client.info()["nodes"]) == 2, "the node has registered")

    def client(self, **settings: Any) -> Client:
        return Client(self.orchestrator.address, **{**self.guard.client_settings, **settings})


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    with servers_in(folder) as servers:
        made = Guarded(servers, Guard.made_in(folder / "files"))
        with made.silent:
            yield made


@pytest.fixture(scope="module")
def with_token(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A node that wants a token, without TLS."""
    folder = tmp_path_factory.mktemp("token")
    with servers_in(folder) as servers:
        (folder / "token").write_text(TOKEN)
        yield servers.node(
            "-s", servers.script(SCRIPT), "--auth-token-file", folder / "token", "--pool-size", 1
        )


def test_everything_works_with_both(guarded: Guarded) -> None:
    with guarded.client() as client:
        assert client.call("add", {"a": 1, "b": 2}) == 3
        assert client.submit("add", {"a": 1, "b": 2}).result(10) == 3
        assert list(client.map("add", [{"a": n, "b": 1} for n in range(500)])) == list(
            range(1, 501)
        )
        assert client.call("sum", {"n": 50}) == 1275
        big = {"text": "x" * 5_000_000, "list": list(range(100_000))}
        assert client.call("echo", big) == big
        assert client.submit("echo", big).result(30) == big
        # On a busy machine a node may be late with a health probe for a moment.
        poll_until(
            lambda: {node["state"] for node in client.info()["nodes"]} == {"up"}, "all are up"
        )
        assert client.metrics()["workers"]["size"] == 2


def test_commands_take_the_files(guarded: Guarded) -> None:
    words = guarded.guard.client_words
    done = madrpc("call", guarded.orchestrator.address, "add", "a=1", "b=2", *words)
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    done = madrpc("info", guarded.node.address, *words)
    assert done.returncode == 0, done.stderr


def settings_without(guard: Guard, *names: str) -> dict[str, Any]:
    return {key: value for key, value in guard.client_settings.items() if key not in names}


REFUSED = [
    ("the wrong token", {"token": "other"}, "the token is not this server's"),
    ("no token", {"token": None}, "wants a token and the first request shows none"),
    ("no certificate", {"tls_cert": None, "tls_key": None}, "the server requires a certificate"),
    ("no TLS", {"tls_cert": None, "tls_key": None, "tls_ca": None}, "this port speaks TLS"),
]


@pytest.mark.parametrize(("settings", "message"), [row[1:] for row in REFUSED],
                         ids=[row[0] for row in REFUSED])  # fmt: skip
@pytest.mark.parametrize("role", ["orchestrator", "node"])
@pytest.mark.parametrize("way", ["call", "submit"])
def test_callers_that_lack_something_are_told_what(
    guarded: Guarded, role: str, way: str, settings: dict[str, Any], message: str
) -> None:
    address = getattr(guarded, role).address
    with Client(address, **{**guarded.guard.client_settings, **settings}) as client:
        call = client.call if way == "call" else lambda *args: client.submit(*args).result(10)
        with pytest.raises(Unauthenticated, match=message) as caught:
            call("add", {"a": 1, "b": 2})
        assert caught.value.exit_code == 6


def test_the_server_says_whom_it_refused_and_why(guarded: Guarded, tmp_path: Path) -> None:
    stranger = Guard.made_in(tmp_path)
    mixed = {**stranger.tls_settings, "tls_ca": guarded.guard["ca.pem"], "token": TOKEN}
    with guarded.client(**mixed) as client, pytest.raises(Unauthenticated, match="TLS: the other"):
        client.call("add", {"a": 1, "b": 2})
    with guarded.client(token="no") as client, pytest.raises(Unauthenticated):
        client.call("add", {"a": 1, "b": 2})

    def said() -> bool:
        log = guarded.orchestrator.stderr()
        return "TLS: the certificate of the other side is not accepted" in log and (
            "the token is not this server's" in log
        )

    poll_until(said, "the log names both")


def test_expired_certificates_are_refused_on_both_sides(servers: Servers, tmp_path: Path) -> None:
    old = Guard.made_in(tmp_path / "old", days=0)
    node = servers.node(*old.server_words, "-s", servers.script(SCRIPT), "--pool-size", 1)
    done = madrpc("call", node.address, "add", "a=1", "b=2", *old.client_words)
    assert done.returncode == 6
    assert "certificate has expired" in done.stderr
    poll_until(lambda: "this side's certificate has expired" in node.stderr(), "the node says so")


def test_tls_to_a_plain_port(servers: Servers, tmp_path: Path) -> None:
    guard = Guard.made_in(tmp_path / "files")
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    done = madrpc("call", node.address, "add", *guard.client_words)
    assert done.returncode == 6
    assert "the other side does not speak TLS" in done.stderr
    poll_until(lambda: "the other side speaks TLS and this one does not" in node.stderr(), "said")


def test_a_node_with_the_wrong_token_is_not_used(guarded: Guarded, servers: Servers) -> None:
    wrong = servers.folder / "wrong"
    wrong.write_text("wrong")
    words = (*guarded.guard.tls_words, "--auth-token-file", wrong)
    stranger = servers.node(
        *words, "-s", servers.script(SCRIPT), "--orchestrator", guarded.orchestrator.address
    )
    poll_until(lambda: "the token is not this server's" in guarded.orchestrator.stderr(), "refused")
    with guarded.client() as client:
        assert stranger.address not in {node["address"] for node in client.info()["nodes"]}
    orchestrator = servers.orchestrator(stranger, words=guarded.guard.server_words)
    with Client(orchestrator.address, **guarded.guard.client_settings) as client:
        (node,) = client.info()["nodes"]
        assert node["state"] == "down"
        assert "Unauthenticated: the token is not this server's" in node["error"]


def test_a_node_says_why_its_orchestrator_does_not_take_it(
    with_token: RunningServer, servers: Servers
) -> None:
    """It says each reason once, however often it tries."""
    node = servers.node(
        *("-s", servers.script(SCRIPT), "--pool-size", 1),
        *("--orchestrator", with_token.address, "--orchestrator", "127.0.0.1:1"),
    )
    refused = f"no connection to orchestrator {with_token.address}: this server wants a token"
    poll_until(lambda: refused in node.stderr(), "the refusal is logged")
    poll_until(lambda: "127.0.0.1:1: connection refused" in node.stderr(), "so is nothing there")
    poll_until(lambda: with_token.stderr().count("wants a token") >= 3, "it tries again")
    assert node.stderr().count(refused) == 1
    assert node.stop() == 0
    assert node.stderr().count("no connection") == 2


def test_a_wrong_token_gets_the_refusal_and_nothing_else(with_token: RunningServer) -> None:
    with Caller(with_token.address) as caller:
        good = {"token": TOKEN}
        caller.write(
            request(1, "add", {"a": 1, "b": 2}, meta={"token": "wrong"}),
            request(2, "add", {"a": 1, "b": 2}, meta=good),
            request(3, "_info"),
        )
        answers = caller.rest()
    assert [(id, error["name"]) for id, error, _ in answers] == [(1, "Unauthenticated")]


@pytest.mark.parametrize("token", [None, "", 5, [TOKEN], "x" * 10_000, TOKEN + "x", TOKEN[:-1]])
def test_whatever_is_not_the_token_is_refused(with_token: RunningServer, token: Any) -> None:
    with Caller(with_token.address) as caller:
        caller.write(request(7, "_info", meta={"token": token}))
        ((id, error, _),) = caller.rest()
    assert (id, error["name"]) == (7, "Unauthenticated")


def test_the_first_request_opens_the_connection_to_the_others(with_token: RunningServer) -> None:
    with Caller(with_token.address) as caller:
        caller.write(
            request(1, "add", {"a": 1, "b": 2}, meta={"token": TOKEN}),
            request(2, "add", {"a": 3, "b": 4}),
            request(3, "add", {"a": 3, "b": 5}, meta={"token": "another one"}),
        )
        answers = sorted(caller.read() for _ in range(3))
    assert [result for _, _, result in answers] == [3, 7, 8]


def test_openssl_gets_nothing(guarded: Guarded) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        give_up("openssl is not installed")
    done = subprocess.run(
        [openssl, "s_client", "-quiet", "-connect", guarded.orchestrator.address],
        input=request(1, "_info"), capture_output=True, timeout=30,
    )  # fmt: skip
    assert done.stdout == b""


def test_certificates_for_a_cluster(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "certs"
    words = ("tls", "init", folder, "--name", "node1.example.org", "--name", "10.1.2.3")
    done = madrpc(*words)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {
        "ca.pem": 0o644, "server.pem": 0o644, "server-key.pem": 0o600,
        "client.pem": 0o644, "client-key.pem": 0o600,
    }  # fmt: skip
    from cryptography import x509

    certificate = x509.load_pem_x509_certificate((folder / "server.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [
        "localhost", "127.0.0.1", "::1", "node1.example.org", "10.1.2.3",
    ]  # fmt: skip
    again = madrpc(*words)
    assert again.returncode == 2
    assert "ca.pem exists; choose a new folder" in again.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--name", "é.example"), "is neither an ASCII host name nor an address"),
        (("--days", "0"), "not a whole number above 0"),
    ],
)
def test_certificates_that_cannot_be_made(
    tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    done = madrpc("tls", "init", tmp_path / "certs", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert not (tmp_path / "certs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--auth-token-file", "/no/token"), "cannot read the token file /no/token: no such file"),
        (("--auth-token-file", "/dev/null"), "has an empty first line"),
        (("--tls-key", "/no/key"), "--tls-key without --tls-cert"),
        (("--tls-ca", "/no/ca"), "cannot read /no/ca: no such file"),
    ],
)
@pytest.mark.parametrize("command", ["info", "node"])
def test_files_that_are_no_good(
    servers: Servers, command: str, words: tuple[str, ...], message: str
) -> None:
    target = ("127.0.0.1:1",) if command == "info" else ("-s", servers.script(SCRIPT))
    done = madrpc(command, *target, *words)
    assert done.returncode == 6
    if words[0] != "--tls-ca" or command == "info":
        assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_open_to_all_is_warned_of(servers: Servers, tmp_path: Path) -> None:
    warning = "is open to other machines without a token or TLS"
    (tmp_path / "token").write_text(TOKEN)
    script = servers.script(SCRIPT)
    words = ("-s", script, "--pool-size", 1)
    everywhere = servers.start("node", "-b", "0.0.0.0:0", *words)
    guarded = servers.start(
        "node", "-b", "0.0.0.0:0", *words, "--auth-token-file", tmp_path / "token"
    )
    here = servers.node(*words)
    found = [warning in node.stderr() for node in (everywhere, guarded, here)]
    assert found == [True, False, False]


def test_a_client_that_calls_too_fast_is_told_to_slow_down(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--rate-limit", 20, "--pool-size", 1)
    with Caller(node.address) as caller:
        caller.write(*(request(n, "add", {"a": n, "b": 0}) for n in range(1, 61)))
        answers = [caller.read() for _ in range(60)]
    taken = [answer for answer in answers if answer and answer[1] is None]
    refused = [answer[1] for answer in answers if answer and answer[1] is not None]
    assert 20 <= len(taken) < 40
    assert {error["name"] for error in refused} == {"Overloaded"}
    waits = [error["data"]["retry_after_ms"] for error in refused]
    assert waits == sorted(waits)
    assert 1 <= waits[0] <= 50 < waits[-1] <= 2050
    with Client(node.address) as client:
        began = time.monotonic()
        # A map waits as it is asked to, and loses nothing.
        results = client.map("add", [{"a": n, "b": 0} for n in range(30)], concurrency=4)
        assert list(results) == list(range(30))
        assert time.monotonic() - began > 0.5
        hasty = [client.submit("add", {"a": n, "b": 0}, timeout=0.01) for n in range(60)]
        assert any(isinstance(future.exception(10), Overloaded) for future in hasty)


def test_a_caller_that_says_nothing_is_cut_off(guarded: Guarded) -> None:
    guarded.silent.settimeout(20)
    assert guarded.silent.recv(100) == b""
