"""Random and mutated frames by the hundred thousand, while good calls run.

``MADRPC_FUZZ_FRAMES`` is how many each server gets; ``make chaos`` sends half a million to each.
"""

from __future__ import annotations

import contextlib
import os
import random
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgpack
import pytest

from madrpc import Client
from tests.guard import TOKEN, Guard
from tests.servers import Servers, poll_until, servers_in
from tests.wire.raw import Caller, cancel, frame, request

FRAMES = int(os.environ.get("MADRPC_FUZZ_FRAMES", "10000"))
#: A broken frame ends its connection, so there are many short ones.
PER_CONNECTION = 8
GROWTH_BYTES = 40 * 2**20
#: The longest that a good call may take while all this goes on.
LONGEST_S = 5.0
HELLO = request(0, "_health", meta={"token": TOKEN})
SCRIPT = 'madrpc.register("echo", args => args); madrpc.register("add", ({a, b}) => a + b);'
KINDS = [None, True, -1, 0, 255, 2**32 - 1, 2**63, 1.5, "", "add", "_health", "_info", "é", b"\xff",
         [], {}, [[[]]], {"a": 1}, {1: 2}, {"token": "x"}, msgpack.ExtType(5, b"x")]  # fmt: skip


class Frames:
    """Makes frames that are good, nearly good, and anything but."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._makers = (self.good, self.mutated, self.mutated, self.odd, self.noise)

    def some(self) -> bytes:
        """As many as one connection gets."""
        return b"".join(self._rng.choice(self._makers)() for _ in range(PER_CONNECTION))

    def good(self) -> bytes:
        rng = self._rng
        if rng.random() < 0.2:
            return cancel(rng.randrange(50))
        args = {"a": rng.randrange(100), "b": "x" * rng.choice((0, 1, 50, 5000))}
        return request(rng.randrange(50), rng.choice(("add", "echo", "_health")), args,
                       rng.choice((0, 1, 5000)))  # fmt: skip

    def mutated(self) -> bytes:
        rng = self._rng
        data = bytearray(self.good())
        for _ in range(rng.randint(1, 4)):
            # Mostly behind the length, so that the frame is read at all.
            at = rng.randrange(4 if rng.random() < 0.95 and len(data) > 4 else 0, len(data))
            what = rng.randrange(3)
            if what == 0:
                data[at] = rng.randrange(256)
            elif what == 1:
                data[at] ^= 1 << rng.randrange(8)
            else:
                data[at : at + rng.randint(0, 4)] = rng.randbytes(rng.randint(1, 4))
        if rng.random() < 0.9:
            data[:4] = struct.pack(">I", max(1, len(data) - 4))
        return bytes(data)

    def odd(self) -> bytes:
        rng = self._rng
        return frame(msgpack.packb([rng.choice(KINDS) for _ in range(rng.randrange(8))]))

    def noise(self) -> bytes:
        return frame(self._rng.randbytes(self._rng.randint(1, 60)))


class Pair:
    """A node behind an orchestrator, and how to reach them."""

    def __init__(self, servers: Servers, guard: Guard | None) -> None:
        words = ("--log-level", "error", *(guard.server_words if guard else ()))
        self.settings = guard.client_settings if guard else {}
        self._context = _context_of(guard) if guard else None
        node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2, *words)
        self.servers = {"node": node, "orchestrator": servers.orchestrator(node, words=words)}

    def send(self, role: str, data: bytes) -> int:
        """Send bytes on one connection; return how many answers came, as far as that is known."""
        with Caller(self.servers[role].address) as caller, contextlib.suppress(OSError):
            if self._context is not None:
                with self._context.wrap_socket(caller.sock, server_hostname="localhost") as sock:
                    sock.sendall(HELLO + data)
                return 0
            caller.write(data)
            caller.finish()
            return len(caller.rest())
        return 0


def _context_of(guard: Guard) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=guard["ca.pem"])
    context.load_cert_chain(guard["client.pem"], guard["client-key.pem"])
    return context


@pytest.fixture(scope="module", params=["open", "token and mTLS"])
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("frames")
    guard = None if request.param == "open" else Guard.made_in(folder / "files")
    with servers_in(folder) as servers:
        yield Pair(servers, guard)


class GoodCaller(threading.Thread):
    """Calls all the while, and notes how long the slowest call took."""

    def __init__(self, address: str, settings: dict[str, Any]) -> None:
        super().__init__()
        self.calls = 0
        self.slowest_s = 0.0
        self.failure: BaseException | None = None
        self.stopping = threading.Event()
        self._address = address
        self._settings = settings

    def run(self) -> None:
        try:
            with Client(self._address, timeout=30, **self._settings) as client:
                while not self.stopping.wait(0.001):
                    began = time.monotonic()
                    assert client.call("echo", {"n": self.calls}) == {"n": self.calls}
                    self.slowest_s = max(self.slowest_s, time.monotonic() - began)
                    self.calls += 1
        except BaseException as error:
            self.failure = error


@pytest.mark.parametrize("role", ["node", "orchestrator"])
def test_frames_of_all_kinds(pair: Pair, role: str, capsys: pytest.CaptureFixture[str]) -> None:
    server = pair.servers[role]
    seed = random.randrange(2**32)
    frames = Frames(seed)
    good = GoodCaller(server.address, pair.settings)
    good.start()
    began = time.monotonic()
    answers = sent = 0
    try:
        for _ in range(5):  # what a server needs once is not growth
            answers += pair.send(role, frames.some())
        rss, fds = server.rss(), server.fds()
        while sent < FRAMES:
            answers += pair.send(role, frames.some())
            sent += PER_CONNECTION
    finally:
        good.stopping.set()
        good.join(60)
    with capsys.disabled():
        print(
            f"\n{role}, seed {seed}: {sent} frames in {time.monotonic() - began:.0f} s, "
            f"{answers} answers; {good.calls} good calls, the slowest {good.slowest_s * 1000:.0f} "
            f"ms; memory {(server.rss() - rss) / 2**20:+.1f} MiB"
        )
    assert good.failure is None, f"seed {seed}: {good.failure}"
    assert good.calls > 20
    assert good.slowest_s < LONGEST_S
    assert answers > 0 or pair.settings
    assert server.alive
    assert server.rss() - rss < GROWTH_BYTES
    poll_until(lambda: server.fds() <= fds + 10, "the connections are closed")
    assert "Traceback" not in server.stderr()
