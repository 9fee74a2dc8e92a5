"""A caller made of a socket and msgpack: none of madrpc's own code takes part."""

from __future__ import annotations

import random
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack

NIL = b"\xc0"
ANSWER_TIMEOUT_S = 20.0
MAX_FRAME = 16 * 1024 * 1024


def frame(payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + payload


def short(*fields: Any) -> bytes:
    """A framed message as most MessagePack libraries would write it."""
    return frame(msgpack.packb(list(fields)))


def head(id: int, timeout_ms: int = 0) -> bytes:
    """The 12 bytes in front of a request's method, in the recommended form."""
    return b"\x96\x00\xce" + struct.pack(">I", id) + b"\xce" + struct.pack(">I", timeout_ms)


def request(id: int, method: str, args: Any = None, timeout_ms: int = 0, meta: Any = None) -> bytes:
    """A framed request in the recommended form."""
    return frame(head(id, timeout_ms) + b"".join(map(msgpack.packb, (method, args, meta))))


def with_args(encoded: bytes, id: int = 5, method: str = "echo") -> bytes:
    """The payload of a request whose arguments are these bytes, valid or not."""
    return head(id) + msgpack.packb(method) + encoded + NIL


def cancel(id: int) -> bytes:
    return frame(b"\x92\x02\xce" + struct.pack(">I", id))


def nested(depth: int, value: Any = 0) -> Any:
    for _ in range(depth):
        value = [value]
    return value


def request_of_size(size: int, id: int, *, short_head: bool) -> bytes:
    """A framed echo whose payload has exactly ``size`` bytes."""

    def echo(text: str) -> bytes:
        if short_head:
            return short(0, id, 0, "echo", {"s": text}, None)
        return request(id, "echo", {"s": text})

    room = size + 4 - len(echo(""))
    # A longer text needs a longer header, by up to four bytes.
    made = (echo("x" * (room - header)) for header in range(5))
    return next(one for one in made if len(one) == size + 4)


class Caller:
    """One raw connection."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self.sock = socket.create_connection((host, int(port)), timeout=ANSWER_TIMEOUT_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = bytearray()

    def __enter__(self) -> Caller:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, *pieces: bytes) -> None:
        self.sock.sendall(b"".join(pieces))

    def write_cut(self, data: bytes, sizes: Iterable[int]) -> None:
        """Write in pieces of these sizes, each with a system call of its own."""
        position = 0
        for size in sizes:
            self.sock.sendall(data[position : position + size])
            position += size
            if position >= len(data):
                return
        self.sock.sendall(data[position:])

    def read_payload(self) -> bytes | None:
        """The next payload, or None once the server has closed the connection."""
        if not self._fill(4):
            assert not self._received, "the server closed in the middle of a frame"
            return None
        size = struct.unpack(">I", self._received[:4])[0]
        assert 0 < size <= MAX_FRAME
        assert self._fill(4 + size), "the server closed in the middle of a frame"
        payload = bytes(self._received[4 : 4 + size])
        del self._received[: 4 + size]
        return payload

    def read(self) -> tuple[int, Any, Any] | None:
        """Id, error and result of the next answer, or None at the end; checks its shape."""
        payload = self.read_payload()
        if payload is None:
            return None
        message = msgpack.unpackb(payload)
        assert isinstance(message, list)
        kind, id, error, result = message
        assert (kind, type(id)) == (1, int)
        assert 0 <= id < 2**32
        if error is not None:
            assert result is None
            check_error(error)
        return id, error, result

    def answers(self, count: int) -> dict[int, tuple[Any, Any]]:
        """The next ``count`` answers by id; none may come twice."""
        found: dict[int, tuple[Any, Any]] = {}
        for _ in range(count):
            answer = self.read()
            assert answer is not None, f"the server closed after {len(found)} of {count} answers"
            id, *outcome = answer
            assert id not in found, f"two answers to {id}"
            found[id] = (outcome[0], outcome[1])
        return found

    def rest(self) -> list[tuple[int, Any, Any]]:
        """Every answer until the server closes."""
        found = []
        while (answer := self.read()) is not None:
            found.append(answer)
        return found

    def call(self, method: str, args: Any = None, timeout_ms: int = 0, id: int = 1) -> Any:
        """Send one request and return its result."""
        self.write(request(id, method, args, timeout_ms))
        answer = self.read()
        assert answer is not None, "the server closed the connection"
        assert answer[:2] == (id, None)
        return answer[2]

    def refused(self, framed: bytes, id: int = 5) -> dict[str, Any]:
        """Send a frame that is answered with an error under its id, and return the error."""
        self.write(framed)
        answer = self.read()
        assert answer is not None, "the server closed the connection"
        assert answer[0] == id
        assert answer[1] is not None, f"a result came: {answer[2]!r:.200}"
        error: dict[str, Any] = answer[1]
        return error

    def finish(self) -> None:
        """Close the sending direction: FIN."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionResetError("the server closed the connection first") from error

    def reset(self) -> None:
        """Close so that the server gets an RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    def is_quiet(self, seconds: float = 0.05) -> bool:
        """Whether nothing arrives for a while."""
        if self._received:
            return False
        self.sock.settimeout(seconds)
        try:
            self._received += self.sock.recv(1)
        except TimeoutError:
            return True
        finally:
            self.sock.settimeout(ANSWER_TIMEOUT_S)
        return False

    def _fill(self, size: int) -> bool:
        while len(self._received) < size:
            data = self.sock.recv(256 * 1024)
            if not data:
                return False
            self._received += data
        return True


def check_error(error: Any) -> None:
    """An error on the wire is a map of exactly these, and tells nothing about Python."""
    assert isinstance(error, dict)
    assert {key: type(value) for key, value in error.items()} == {
        "code": int,
        "name": str,
        "message": str,
        "data": dict,
    }
    assert "Traceback" not in error["message"]


class AnyEncoding:
    """Writes values in valid MessagePack, choosing among the formats at random."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def message(self, fields: Sequence[Any]) -> bytes:
        return frame(self.encode(list(fields)))

    def array(self, items: Sequence[bytes], size: int) -> bytes:
        """A framed array of ``size`` values that are encoded already, some joined maybe."""
        return frame(self._header(size, 0x90, b"\xdc", b"\xdd") + b"".join(items))

    def encode(self, value: Any) -> bytes:
        if value is None or isinstance(value, bool):
            packed: bytes = msgpack.packb(value)
            return packed
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            return self._float(value)
        if isinstance(value, str):
            return self._text(value.encode())
        if isinstance(value, list):
            items = b"".join(map(self.encode, value))
            return self._header(len(value), 0x90, b"\xdc", b"\xdd") + items
        pairs = b"".join(self.encode(key) + self.encode(item) for key, item in value.items())
        return self._header(len(value), 0x80, b"\xde", b"\xdf") + pairs

    def _integer(self, value: int) -> bytes:
        forms = []
        if -32 <= value < 128:
            forms.append(struct.pack("b", value))
        for code, form in zip(range(0xCC, 0xD4), "BHIQbhiq", strict=True):
            try:
                forms.append(bytes((code,)) + struct.pack(">" + form, value))
            except struct.error:
                pass  # too large, or negative, for this width
        return self.rng.choice(forms)

    def _float(self, value: float) -> bytes:
        forms = [b"\xcb" + struct.pack(">d", value)]
        if value in (0.5, -1.25):  # what a float 32 holds exactly
            forms.append(b"\xca" + struct.pack(">f", value))
        return self.rng.choice(forms)

    def _text(self, data: bytes) -> bytes:
        size = len(data)
        forms = [b"\xdb" + struct.pack(">I", size)]
        if size < 2**16:
            forms.append(b"\xda" + struct.pack(">H", size))
        if size < 2**8:
            forms.append(b"\xd9" + struct.pack(">B", size))
        if size < 32:
            forms.append(bytes((0xA0 | size,)))
        return self.rng.choice(forms) + data

    def _header(self, size: int, fix: int, code16: bytes, code32: bytes) -> bytes:
        forms = [code32 + struct.pack(">I", size)]
        if size < 2**16:
            forms.append(code16 + struct.pack(">H", size))
        if size < 16:
            forms.append(bytes((fix | size,)))
        return self.rng.choice(forms)


def memory(pid: int, field: str = "VmHWM") -> int:
    """Bytes a process holds, or has held at most, as Linux counts them."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {field} for {pid}")


class Clock:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def seconds(self) -> float:
        return time.monotonic() - self._began
