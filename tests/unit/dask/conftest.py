"""These tests need the extra ``dask``, which they import only once it is known to be there."""

from __future__ import annotations

import pytest

from tests.servers import require_distributed


@pytest.fixture(autouse=True)
def _distributed() -> None:
    require_distributed()
