"""1 MB there and back, a call of each kind in turn, beside a bare engine in the same process.

    python benchmarks/large.py [--rounds 25]

Calls that take turns meet the same machine, however busy it is with other work, so their ratio says
more than that of two runs. The bare engine uses the standard library's JSON, as in ``bare.py``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.peers import bare  # noqa: E402
from benchmarks.peers.work import big_value  # noqa: E402
from madrpc import Client  # noqa: E402
from tests.servers import servers_in  # noqa: E402

_SCRIPT = Path(__file__).parent / "peers" / "work.js"
_now = time.perf_counter


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    value = big_value()
    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, servers_in(Path(folder)) as servers:
        node = servers.node("-s", _SCRIPT, "--pool-size", 2)
        orchestrator = servers.orchestrator(node)
        with Client(node.address) as direct, Client(orchestrator.address) as through:
            ways = {"bare": bare.call, "node": direct.call, "orchestrator": through.call}
            for _ in range(options.rounds):
                for name, call in ways.items():
                    began = _now()
                    assert call("echo", value) == value
                    took.setdefault(name, []).append(_now() - began)
    base = statistics.median(took["bare"])
    for name, times in took.items():
        middle = statistics.median(times)
        print(f"{name:<14}{middle * 1e3:7.1f} ms  {middle / base:.2f} of the bare engine")


if __name__ == "__main__":
    main()
