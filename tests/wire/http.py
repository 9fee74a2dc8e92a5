"""HTTP as bytes, so that a test can send what no library would."""

from __future__ import annotations

import json
import socket
from typing import Any

__all__ = ["Reply", "exchange", "get", "post", "read_reply", "rpc"]


class Reply:
    """A response: status, headers with small names, body."""

    def __init__(self, raw: bytes) -> None:
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        assert lines[0].startswith("HTTP/1.1 "), raw
        self.status = int(lines[0].split()[1])
        self.headers = {
            name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
        }
        size = int(self.headers.get("content-length", 0))
        self.body, self.rest = rest[:size], rest[size:]

    def json(self) -> Any:
        return json.loads(self.body)


def exchange(port: int, data: bytes, timeout_s: float = 20.0) -> bytes:
    """Send bytes, and read until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock:
        sock.sendall(data)
        received = b""
        while more := sock.recv(65536):
            received += more
    return received


def read_reply(sock: socket.socket) -> Reply:
    """The next response, whole, from a connection that stays open."""
    received = b""
    while True:
        received += sock.recv(65536)
        if b"\r\n\r\n" in received:
            reply = Reply(received)
            if len(reply.body) == int(reply.headers.get("content-length", 0)):
                return reply


def get(port: int, path: str, *headers: str, method: str = "GET") -> Reply:
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close", *headers]
    return Reply(exchange(port, "\r\n".join([*lines, "", ""]).encode()))


def post(port: int, body: bytes, *headers: str, host: str | None = None) -> Reply:
    lines = [
        "POST /rpc HTTP/1.1",
        f"Host: {host or f'127.0.0.1:{port}'}",
        "Connection: close",
        f"Content-Length: {len(body)}",
        *(() if any(h.lower().startswith("content-type") for h in headers) else
          ("Content-Type: application/json",)),
        *headers,
    ]  # fmt: skip
    return Reply(exchange(port, "\r\n".join([*lines, "", ""]).encode() + body))


def rpc(port: int, method: str, params: Any = None, *headers: str, id: Any = 1) -> Any:
    """The response object of one call."""
    call = {"jsonrpc": "2.0", "id": id, "method": method, "params": params or {}}
    reply = post(port, json.dumps(call).encode(), *headers)
    assert reply.status == 200, reply.body
    return reply.json()
