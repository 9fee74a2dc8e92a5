"""madrpc over HTTP: JSON-RPC 2.0 on one kept connection, one call or a batch of 64 at a time."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.peers import work
from tests.servers import servers_in


class Gateway:
    """A client as a program without madrpc would write it."""

    def __init__(self, url: str) -> None:
        self._connection = http.client.HTTPConnection(url.partition("://")[2])

    def call(self, method: str, args: work.Args) -> Any:
        return self._post({"jsonrpc": "2.0", "id": 1, "method": method, "params": args})["result"]

    def many(self, method: str, calls: Sequence[work.Args]) -> Iterator[Any]:
        for at in range(0, len(calls), work.IN_FLIGHT):
            batch = [
                {"jsonrpc": "2.0", "id": n, "method": method, "params": args}
                for n, args in enumerate(calls[at : at + work.IN_FLIGHT])
            ]
            for answer in self._post(batch):
                yield answer["result"]

    def _post(self, body: Any) -> Any:
        headers = {"Content-Type": "application/json"}
        self._connection.request("POST", "/rpc", json.dumps(body), headers)
        return json.loads(self._connection.getresponse().read())


def main() -> None:
    script = Path(__file__).parent / "work.js"
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as servers:
        node = servers.node("-s", script, "--pool-size", work.WORKERS)
        orchestrator = servers.orchestrator(node, words=("--http", "127.0.0.1:0"))
        gateway = Gateway(orchestrator.ready_line.split()[-1])
        work.measure(gateway.call, gateway.many)


if __name__ == "__main__":
    main()
