"""When a node that breaks its calls is left alone for a while, and when it gets another chance.

::

    in --5 failures in a row--> out for 30 s x n --time is up--> on trial --passed--> in
                                     ^                              |
                                     +----------- failed -----------+

Only failures of the transport count: a lost connection, an answer nobody can read, a deadline that
passed while the node was silent. What a function does says nothing about its node.
"""

from __future__ import annotations

__all__ = ["Outlier"]

FAILURES = 5
FIRST_TERM_S = 30.0
LONGEST_TERM_S = 300.0
#: Failures further apart than this do not add up: a node that is restarted daily is well.
APART_S = 60.0


class Outlier:
    """What is held against one node.

    Attributes:
        failures: how many in a row.
        terms: how often it was put out without having done well for long since.
        until: the instant its term ends, or None while it is in.
    """

    __slots__ = ("_last_failure", "_term_s", "_well_since", "failures", "terms", "until")

    def __init__(self) -> None:
        self.failures = 0
        self.terms = 0
        self.until: float | None = None
        self._last_failure = 0.0
        self._term_s = 0.0
        self._well_since = 0.0

    def __repr__(self) -> str:
        where = "in" if self.until is None else f"out until {self.until:.1f}"
        return f"<Outlier {where}, {self.failures} failures, {self.terms} terms>"

    @property
    def is_out(self) -> bool:
        """Whether it serves a term."""
        return self.until is not None

    @property
    def is_due(self) -> bool:
        """Whether it has failed often enough to be put out."""
        return self.failures >= FAILURES and self.until is None

    def failed(self, now: float) -> None:
        """Note a failure."""
        if now - self._last_failure > APART_S:
            self.failures = 0
        self.failures += 1
        self._last_failure = now

    def succeeded(self) -> None:
        """Note an answer that arrived whole, whatever it says."""
        self.failures = 0

    def put_out(self, now: float) -> float:
        """Begin a term, each longer than the last one; return its seconds."""
        if self.terms and self.until is None and now - self._well_since >= self._term_s:
            self.terms = 0
        self.terms += 1
        self._term_s = min(LONGEST_TERM_S, FIRST_TERM_S * self.terms)
        self.until = now + self._term_s
        return self._term_s

    def is_served(self, now: float) -> bool:
        """Whether the term is over, so that a trial decides."""
        return self.until is not None and now >= self.until

    def readmit(self, now: float) -> None:
        """The trial was passed."""
        self.until = None
        self.failures = 0
        self._well_since = now
