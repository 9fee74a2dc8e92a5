"""Fixtures that several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import Servers, servers_in


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Real servers that end with the test."""
    with servers_in(tmp_path) as running:
        yield running
