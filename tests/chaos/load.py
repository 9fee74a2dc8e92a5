"""Calls with fresh arguments whose results the caller computes too, and what became of each."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from madrpc import CallTimeout, Client

SCRIPT = """
madrpc.register("mix", ({seed, rounds, pad}) => {
  let x = seed >>> 0;
  for (let i = 0; i < rounds; i++) x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
  return {seed, x, size: pad.length};
});
"""
IN_FLIGHT = 64
#: The promise is half a second; the rest is for a machine that is busy with the faults as well.
LATE_S = 2.0
#: A call may say that its deadline has passed this much before the caller's clock says so.
EARLY_S = 0.05


def mixed(seed: int, rounds: int) -> int:
    """What the script computes."""
    x = seed
    for _ in range(rounds):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
    return x


class Load:
    """Keeps calls in flight in a thread of its own until it is stopped."""

    def __init__(self, addresses: list[str], seed: int, timeout_s: float, **settings: Any) -> None:
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._addresses = addresses
        self._timeout_s = timeout_s
        self._settings = settings
        self._rng = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let the calls in flight end; fail if one hangs."""
        self._stopping.set()
        self._thread.join(self._timeout_s + 10)
        assert not self._thread.is_alive(), "a call hangs"
        if self._failure is not None:
            raise self._failure

    @property
    def ended(self) -> int:
        return sum(self.outcomes.values())

    def _run(self) -> None:
        try:
            with Client(self._addresses, **self._settings) as client:
                self._keep_calling(client)
        except BaseException as error:
            self._failure = error

    def _keep_calling(self, client: Client) -> None:
        calls: dict[Future[Any], tuple[dict[str, Any], float]] = {}
        while calls or not self._stopping.is_set():
            while len(calls) < IN_FLIGHT and not self._stopping.is_set():
                args = self._args()
                calls[client.submit("mix", args, timeout=self._timeout_s)] = args, time.monotonic()
            done, _ = wait(calls, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                self._check(future, *calls.pop(future))
            now = time.monotonic()
            for args, began in calls.values():
                assert now < began + self._timeout_s + LATE_S + 2, f"{args} has not ended"

    def _args(self) -> dict[str, Any]:
        rng = self._rng
        rounds = rng.choice((1, 1, 1, 10, 1000, 20_000))
        pad = "x" * rng.choice((0, 0, 0, 10, 1000, 200_000))
        return {"seed": rng.randrange(2**32), "rounds": rounds, "pad": pad}

    def _check(self, future: Future[Any], args: dict[str, Any], began: float) -> None:
        took = time.monotonic() - began
        error = future.exception()
        if took > self._timeout_s + LATE_S:
            self.wrong.append(f"{took:.2f} s for a deadline of {self._timeout_s} s: {error}")
        if error is None:
            expected = mixed(args["seed"], args["rounds"])
            result = {"seed": args["seed"], "x": expected, "size": len(args["pad"])}
            if future.result() != result:
                self.wrong.append(f"{args['seed']}: {future.result()} instead of {result}")
            self.outcomes["right"] += 1
        else:
            self.outcomes[type(error).__name__] += 1
            if not isinstance(error, CallTimeout) or took < self._timeout_s - EARLY_S:
                self.wrong.append(f"after {took:.2f} s: {type(error).__name__}: {error}")
