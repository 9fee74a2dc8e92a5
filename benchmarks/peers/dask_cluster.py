"""Dask's distributed scheduler with a worker process for each processor."""

from __future__ import annotations

import itertools
import logging

from benchmarks.peers import bare, work


def main() -> None:
    from distributed import Client, LocalCluster

    logging.getLogger("distributed").setLevel(logging.ERROR)
    numbers = itertools.count()
    with (
        LocalCluster(
            n_workers=work.WORKERS, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        work.measure(
            lambda method, args: client.submit(
                bare.call, method, args, key=f"one-{next(numbers)}", pure=False
            ).result(),
            lambda method, calls: client.gather(
                client.map(lambda args: bare.call(method, args), calls, pure=False, batch_size=64)
            ),
        )


if __name__ == "__main__":
    main()
