"""A wire between two network namespaces that delays and loses packets, for kernels without netem.

    python -m benchmarks.scale.relay NAMESPACE NAMESPACE

Makes a TUN device in each, prints ``ready``, and passes packets on. A line on stdin such as
``5 0.01`` sets the milliseconds that a packet takes in either direction, and the share that is
lost. Ends when stdin does. Needs root.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

DEVICE = "scale0"
_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_CLONE_NEWNET = 0x40000000
_PACKET = 65_536
_AT_ONCE = 256
_now = time.perf_counter


def open_tun(namespace: str) -> int:
    """A TUN device in a namespace, which this process joins."""
    library = ctypes.CDLL(None, use_errno=True)
    place = os.open(f"/var/run/netns/{namespace}", os.O_RDONLY)
    if library.setns(place, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
    os.close(place)
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), _IFF_TUN_NO_PI))
    return device


class Direction:
    """Packets on their way from one device to the other, in the order in which they are due."""

    def __init__(self, source: int, target: int) -> None:
        self.source = source
        self._target = target
        self._on_the_way: deque[tuple[float, bytes]] = deque()

    @property
    def due(self) -> float:
        """When the next packet arrives."""
        return self._on_the_way[0][0] if self._on_the_way else float("inf")

    def read(self, delay_s: float, loss: float) -> None:
        """Take what came in."""
        for _ in range(_AT_ONCE):
            try:
                packet = os.read(self.source, _PACKET)
            except BlockingIOError:
                return
            if not loss or random.random() >= loss:
                self._on_the_way.append((_now() + delay_s, packet))

    def deliver(self) -> None:
        """Put out what is due."""
        now = _now()
        while self.due <= now:
            _, packet = self._on_the_way.popleft()
            try:
                os.write(self._target, packet)
            except OSError:
                pass  # the other device is not up, or full: a wire would lose it too


def relay(near: int, far: int) -> None:
    """Pass packets on until stdin ends."""
    directions = {near: Direction(near, far), far: Direction(far, near)}
    delay_s = loss = 0.0
    while True:
        due = min(direction.due for direction in directions.values())
        wait = None if due == float("inf") else max(0.0, due - _now())
        readable, _, _ = select.select([near, far, 0], [], [], wait)
        for source in readable:
            if source == 0:
                line = sys.stdin.readline()
                if not line:
                    return
                delay_s, loss = float(line.split()[0]) / 1000, float(line.split()[1])
                print("ready", flush=True)
            else:
                directions[source].read(delay_s, loss)
        for direction in directions.values():
            direction.deliver()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("near")
    parser.add_argument("far")
    options = parser.parse_args()
    near, far = open_tun(options.near), open_tun(options.far)
    print("ready", flush=True)
    relay(near, far)


if __name__ == "__main__":
    main()
