"""How a client finds out that a silent server is gone, long before its calls' deadlines.

A server runs no script in the process that answers, so one that says nothing while calls are in
flight is either waiting for a function or gone, and ``_health`` tells which.
"""

from __future__ import annotations

from madrpc.protocol.messages import request_head, request_tail

__all__ = ["HEALTH", "PROBE_TIMEOUT_S", "SILENCE_S", "health_request"]

#: A server that said nothing for this long while calls were in flight is asked for its health.
SILENCE_S = 2.0
#: One that then says nothing for this long is taken for lost, and its calls go elsewhere.
PROBE_TIMEOUT_S = 2.0
#: The token of the question among the requests in flight.
HEALTH = object()
_TAIL = request_tail("_health", None)


def health_request(id: int) -> bytes:
    """The question as a frame."""
    return request_head(id, int(PROBE_TIMEOUT_S * 1000), len(_TAIL)) + _TAIL
