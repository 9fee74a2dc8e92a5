"""Every test of this folder runs on both engines, unless it is about one of them."""

from __future__ import annotations

import pytest

from tests.servers import require_v8
from tests.unit.engine import drive


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" in metafunc.fixturenames:
        only = metafunc.definition.get_closest_marker("only")
        names = only.args if only is not None else ("quickjs", "v8")
        metafunc.parametrize("engine_name", names, indirect=True)


@pytest.fixture(autouse=True)
def engine_name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that ``drive`` makes."""
    name: str = request.param
    if name == "v8":
        require_v8()
    monkeypatch.setattr(drive, "engine_name", name)
    return name
