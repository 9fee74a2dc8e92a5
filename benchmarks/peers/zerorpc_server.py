"""zerorpc, a server process for each processor; calls alternate between them."""

from __future__ import annotations

import itertools
import multiprocessing
import socket
from typing import Any

from benchmarks.peers import work


class _Service:
    def invoke(self, method: str, args: dict[str, Any]) -> Any:
        from benchmarks.peers import bare

        return bare.call(method, args)


def _serve(port: int) -> None:
    import zerorpc

    server = zerorpc.Server(_Service(), heartbeat=None)
    server.bind(f"tcp://127.0.0.1:{port}")
    server.run()


def free_ports(count: int) -> list[int]:
    """Ports that nobody has now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


def main() -> None:
    context = multiprocessing.get_context("spawn")
    ports = free_ports(work.WORKERS)
    processes = [context.Process(target=_serve, args=(port,), daemon=True) for port in ports]
    for process in processes:
        process.start()
    import gevent.pool
    import zerorpc

    clients = []
    for port in ports:
        clients.append(zerorpc.Client(heartbeat=None, timeout=60))
        clients[-1].connect(f"tcp://127.0.0.1:{port}")
    turns = itertools.cycle(clients)
    pool = gevent.pool.Pool(work.IN_FLIGHT)

    def one(method: str, args: work.Args) -> Any:
        return next(turns).invoke(method, args)

    work.measure(
        one, lambda method, calls: pool.imap_unordered(lambda args: one(method, args), calls)
    )
    for process in processes:
        process.kill()


if __name__ == "__main__":
    main()
