"""Many simulated nodes in one process: the real protocol, workers that only take time.

Prints a JSON list of addresses, then serves until stdin ends. Each node has so many workers, and
a call takes one of them for the given time on average, without a processor; with 0 ms it is
answered at once.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import time
from typing import Any

import gevent
import gevent.socket

from benchmarks.scale.service import ServiceTimes, Slots
from madrpc.address import Address
from madrpc.config import ListenerConfig
from madrpc.links.connection import Caller
from madrpc.links.listener import Listener
from madrpc.protocol.messages import Request, result_tail

_now = time.monotonic
_NOTHING = result_tail(None)


class Answers:
    """Answers that are due at some instant, on one timer for all nodes."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Caller, int]] = []
        self._number = 0
        self._timer = gevent.get_hub().loop.timer(0.0)
        self._wakes_at = float("inf")

    def at(self, instant: float, connection: Caller, id: int) -> None:
        """Answer a request then."""
        self._number += 1
        heapq.heappush(self._due, (instant, self._number, connection, id))
        if instant < self._wakes_at:
            self._sleep()

    def _sleep(self) -> None:
        self._wakes_at = self._due[0][0]
        self._timer.stop()
        loop = gevent.get_hub().loop
        self._timer = loop.timer(max(0.0, self._wakes_at - _now()))
        self._timer.start(self._give)

    def _give(self) -> None:
        now, due = _now(), self._due
        while due and due[0][0] <= now:
            _, _, connection, id = heapq.heappop(due)
            connection.respond(id, _NOTHING)
        self._wakes_at = float("inf")
        if due:
            self._sleep()


class Node:
    """What one simulated node does with requests."""

    def __init__(self, workers: int, service_s: float, answers: Answers) -> None:
        info = {"role": "node", "state": "up", "workers": workers, "revision": "1"}
        self._builtins = {
            "_info": result_tail({**info, "methods": ["work"]}),
            "_health": result_tail({"status": "up", "role": "node", "revision": "1"}),
        }
        self._slots = Slots(workers, ServiceTimes(service_s)) if service_s else None
        self._answers = answers

    def handle(self, connection: Caller, request: Request) -> None:
        """Answer a request, at once or when a worker would have."""
        builtin = self._builtins.get(request.method)
        if builtin is not None or self._slots is None:
            connection.respond(request.id, builtin or _NOTHING)
        else:
            self._answers.at(self._slots.take(_now()), connection, request.id)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--ms", type=float, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    options = parser.parse_args()
    answers = Answers()
    listeners: list[Any] = [
        Listener(
            ListenerConfig(Address(options.host, 0)),
            Node(options.workers, options.ms / 1000, answers),
        )
        for _ in range(options.nodes)
    ]
    addresses = [str(listener.bind()) for listener in listeners]
    for listener in listeners:
        listener.start()
    print(json.dumps(addresses), flush=True)
    os.set_blocking(0, False)
    while True:
        gevent.socket.wait_read(0)
        if not os.read(0, 4096):
            return


if __name__ == "__main__":
    main()
