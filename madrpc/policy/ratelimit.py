"""How many calls a second each client may make: a token bucket for each."""

from __future__ import annotations

__all__ = ["RateLimit"]

#: Clients that are remembered. One whose bucket is full again is as good as new, so it is forgotten
#: first.
_MOST_CLIENTS = 10_000
#: Who comes back exactly when told to is not sent away for the last digit of a float.
_ONE = 1.0 - 1e-9


class RateLimit:
    """Buckets by client: ``rate`` tokens flow in each second, and a second's worth fit in.

    Refused calls are sent away for different times, each for as long as it takes until the calls
    refused before it are through, so that they do not all come back at once.

    Args:
        rate: calls a second, above 0.
    """

    __slots__ = ("_buckets", "_rate", "_size")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        #: By client: tokens, calls that have been told when to come back, and when that was so.
        self._buckets: dict[str, tuple[float, float, float]] = {}

    def __repr__(self) -> str:
        return f"<RateLimit {self._rate:g}/s, {len(self._buckets)} clients>"

    def take(self, client: str, now: float) -> float:
        """Count a call of the client's at the instant ``now``.

        Returns:
            0 if it may go on, else the seconds until it may come back.
        """
        level, told, since = self._buckets.get(client, (self._size, 0.0, now))
        flowed = (now - since) * self._rate
        level = min(self._size, level + flowed)
        told = max(0.0, told - flowed)
        wait_s = 0.0
        if level < _ONE:
            wait_s = (1.0 - level + told) / self._rate
            told += 1.0
        else:
            level -= 1.0
        if client not in self._buckets and len(self._buckets) >= _MOST_CLIENTS:
            self._forget(now)
        self._buckets[client] = (level, told, now)
        return wait_s

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again; failing that, all of them."""
        full_s = self._size / self._rate
        self._buckets = {c: b for c, b in self._buckets.items() if now - b[2] < full_s}
        if len(self._buckets) >= _MOST_CLIENTS:
            self._buckets.clear()
