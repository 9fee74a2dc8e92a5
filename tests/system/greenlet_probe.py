"""An orchestrator that counts its greenlets: prints its address, then a number for each line."""

from __future__ import annotations

import gc
import os
import sys

import gevent
import gevent.socket
import greenlet

from madrpc.address import Address
from madrpc.config import ListenerConfig, OrchestratorConfig
from madrpc.orchestrator.orchestrator import Orchestrator


def count() -> int:
    gc.collect()
    return sum(
        isinstance(thing, greenlet.greenlet) and not thing.dead for thing in gc.get_objects()
    )


def main() -> None:
    nodes = tuple(sys.argv[1:])
    listener = ListenerConfig(Address("127.0.0.1", 0))
    orchestrator = Orchestrator(OrchestratorConfig(nodes, listener))
    print(orchestrator.start(), flush=True)
    os.set_blocking(0, False)
    while True:
        gevent.socket.wait_read(0)
        if not os.read(0, 4096):
            break
        print(count(), flush=True)
    orchestrator.stop()


if __name__ == "__main__":
    main()
