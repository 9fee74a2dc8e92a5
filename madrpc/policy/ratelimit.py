"""How many calls a second each client may make: a token bucket for each."""

from __future__ import annotations

__all__ = ["RateLimit"]

#: Clients that are remembered. One whose bucket is full again is as good as new, so it is forgotten
#: first.
_MOST_CLIENTS = 10_000


class RateLimit:
    """Buckets by client: ``rate`` tokens flow in each second, and a second's worth fit in.

    Args:
        rate: calls a second, above 0.
    """

    __slots__ = ("_buckets", "_rate", "_size")

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._buckets: dict[str, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<RateLimit {self._rate:g}/s, {len(self._buckets)} clients>"

    def take(self, client: str, now: float) -> float:
        """Count a call of the client's at the instant ``now``.

        Returns:
            0 if it may go on, else the seconds until the next one may.
        """
        level, since = self._buckets.get(client, (self._size, now))
        level = min(self._size, level + (now - since) * self._rate)
        if level < 1.0:
            return (1.0 - level) / self._rate
        if client not in self._buckets and len(self._buckets) >= _MOST_CLIENTS:
            self._forget(now)
        self._buckets[client] = (level - 1.0, now)
        return 0.0

    def _forget(self, now: float) -> None:
        """Drop the buckets that are full again; failing that, all of them."""
        full_s = self._size / self._rate
        self._buckets = {c: b for c, b in self._buckets.items() if now - b[1] < full_s}
        if len(self._buckets) >= _MOST_CLIENTS:
            self._buckets.clear()
