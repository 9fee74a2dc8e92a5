"""gRPC for Python with generic handlers (bytes), a server process for each processor."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

from benchmarks.peers import work
from benchmarks.peers.zerorpc_server import free_ports

_OPTIONS = [("grpc.max_send_message_length", 2**24), ("grpc.max_receive_message_length", 2**24)]


def _invoke(request: bytes, context: Any) -> bytes:
    from benchmarks.peers import bare

    method, args = json.loads(request)
    return json.dumps(bare.call(method, args)).encode()


def _serve(port: int) -> None:
    import grpc

    server = grpc.server(futures.ThreadPoolExecutor(1), options=_OPTIONS)
    handlers = {"invoke": grpc.unary_unary_rpc_method_handler(_invoke)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Bench", handlers),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def main() -> None:
    import grpc

    context = multiprocessing.get_context("spawn")
    ports = free_ports(work.WORKERS)
    processes = [context.Process(target=_serve, args=(port,), daemon=True) for port in ports]
    for process in processes:
        process.start()
    channels = [grpc.insecure_channel(f"127.0.0.1:{port}", _OPTIONS) for port in ports]
    for channel in channels:
        grpc.channel_ready_future(channel).result(timeout=30)
    turns = itertools.cycle([channel.unary_unary("/Bench/invoke") for channel in channels])

    def start(method: str, args: work.Args) -> Any:
        return next(turns).future(json.dumps([method, args]).encode())

    def many(method: str, calls: Sequence[work.Args]) -> Iterator[Any]:
        window: deque[Any] = deque()
        for args in calls:
            if len(window) == work.IN_FLIGHT:
                yield json.loads(window.popleft().result())
            window.append(start(method, args))
        while window:
            yield json.loads(window.popleft().result())

    work.measure(lambda method, args: json.loads(start(method, args).result()), many)
    for process in processes:
        process.kill()


if __name__ == "__main__":
    main()
