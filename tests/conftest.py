"""Fixtures that several folders of tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Servers, servers_in

# A shell that starts this in the background has it ignore Ctrl-C, and what the tests start too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Real servers that end with the test."""
    with servers_in(tmp_path) as running:
        yield running
