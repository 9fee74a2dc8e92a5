"""concurrent.futures.ProcessPoolExecutor.map: what one would reach for on one machine."""

from __future__ import annotations

import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from benchmarks.peers import bare, work


def main() -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(work.WORKERS, mp_context=context) as pool:
        work.measure(
            lambda method, args: pool.submit(bare.call, method, args).result(),
            lambda method, calls: pool.map(bare.call, itertools.repeat(method), calls),
        )


if __name__ == "__main__":
    main()
