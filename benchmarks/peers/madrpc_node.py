"""madrpc: a client straight to a node, or through an orchestrator.

python -m benchmarks.peers.madrpc_node [--orchestrator] [--engine ENGINE]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks.peers import work
from madrpc import Client
from tests.servers import servers_in


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--orchestrator", action="store_true")
    parser.add_argument("--engine", default="")
    options = parser.parse_args()
    engine = ("--engine", options.engine) if options.engine else ()
    script = Path(__file__).parent / "work.js"
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as servers:
        server = servers.node("-s", script, "--pool-size", work.WORKERS, *engine)
        if options.orchestrator:
            server = servers.orchestrator(server)
        with Client(server.address) as client:
            work.measure(
                client.call,
                lambda method, calls: client.map(method, calls, concurrency=work.IN_FLIGHT),
            )


if __name__ == "__main__":
    main()
