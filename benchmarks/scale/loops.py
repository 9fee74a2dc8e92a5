"""A bare loop, with no RPC: heavy calls one after the other for a while.

Prints ``ready``, waits for a line, and prints the calls that ended in a second.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from benchmarks.peers import bare


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--method", default="pi")
    parser.add_argument("--args", default="{}")
    parser.add_argument("--seconds", type=float, default=1.0)
    options = parser.parse_args()
    args = json.loads(options.args)
    bare.call(options.method, args)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.perf_counter()
    calls = 0
    while (took := time.perf_counter() - began) < options.seconds:
        bare.call(options.method, args)
        calls += 1
    print(json.dumps({"rate": calls / took}), flush=True)


if __name__ == "__main__":
    main()
