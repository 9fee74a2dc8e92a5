"""Releases of a node whose pools are stand-ins: what is left when things come at a wrong time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

from madrpc.engine.interface import Script
from madrpc.errors import Draining, InternalError, InvalidRequest
from madrpc.node import releases as module
from madrpc.node.releases import Releases


class StubPool:
    """Starts and stops when it is let."""

    def __init__(self, scripts: Any) -> None:
        self.scripts = scripts
        self.methods = ["f"]
        self.is_busy = False
        self.may_start, self.may_stop, self.stopping = Event(), Event(), Event()
        self.is_running = self.is_stopped = False
        self.table: Any = type("Table", (), {"ready": 1})
        self.config: Any = type("Config", (), {"size": 1})

    def start(self) -> None:
        self.is_running = True
        self.may_start.wait()
        if self.stopping.is_set():
            raise InternalError("stopped")

    def stop(self) -> None:
        self.stopping.set()
        self.may_start.set()
        self.may_stop.wait()
        self.is_running, self.is_stopped = False, True


class Bench:
    """Releases with a script file, and the pools they made."""

    def __init__(self, path: Path) -> None:
        path.write_text("one")
        self.pools: list[StubPool] = []
        self.releases = Releases([str(path)], self._new_pool, lambda: None)
        self.held = False
        self.pools[0].may_start.set()
        self.releases.start()

    def _new_pool(self, scripts: Any) -> Any:
        pool = StubPool(scripts)
        self.pools.append(pool)
        if len(self.pools) > 1 and not self.held:
            pool.may_start.set()
        pool.may_stop.set()
        return pool

    def running(self) -> list[str]:
        return [pool.scripts[0].source for pool in self.pools if pool.is_running]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with gevent.Timeout(10):
        yield Bench(tmp_path / "script.js")


def scripts(source: str) -> list[Script]:
    return [Script("script.js", source)]


def meanwhile(bench: Bench, act: Callable[[], Any]) -> Any:
    """Begin something whose workers take their time to load."""
    bench.held = True
    greenlet = gevent.spawn(act)
    gevent.sleep(0)
    bench.held = False
    return greenlet


@pytest.mark.parametrize("act", ["stage", "reload"])
def test_stopping_while_scripts_load_leaves_no_worker(bench: Bench, act: str) -> None:
    acts = {"stage": lambda: bench.releases.stage(scripts("two")), "reload": bench.releases.reload}
    loading = meanwhile(bench, acts[act])
    assert len(bench.running()) == 2
    bench.releases.stop()
    loading.join()
    assert bench.running() == []


def test_workers_that_are_ready_just_then_are_stopped_too(bench: Bench) -> None:
    loading = meanwhile(bench, lambda: bench.releases.stage(scripts("two")))
    bench.pools[1].may_start.set()
    bench.releases.stop()
    loading.join()
    assert isinstance(loading.exception, (Draining, InternalError))
    assert bench.running() == []


def test_nothing_is_loaded_after_the_end(bench: Bench) -> None:
    bench.releases.stop()
    with pytest.raises(Draining):
        bench.releases.stage(scripts("two"))
    assert bench.running() == []


def test_who_orders_and_leaves_does_not_keep_workers_from_being_stopped(bench: Bench) -> None:
    bench.releases.stage(scripts("two"))
    bench.pools[1].may_stop.clear()
    second = gevent.spawn(bench.releases.stage, scripts("three"))
    bench.pools[1].stopping.wait()
    second.kill()
    bench.pools[1].may_stop.set()
    gevent.sleep(0)
    assert bench.pools[1].is_stopped
    assert bench.running() == ["one"]


def test_a_release_staged_again_gets_its_whole_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = bench.releases.stage(scripts("two"))
    monkeypatch.setattr(module, "_STAGED_S", 0.0)
    assert bench.releases.stage(scripts("two")) is first
    while "two" in bench.running():
        gevent.sleep(0)
    with pytest.raises(InvalidRequest, match="is not staged here; stage it first"):
        bench.releases.switch(first.id)


def test_a_switch_wins_over_the_end_of_its_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_STAGED_S", 0.0)
    with bench.releases._changing:
        staging = gevent.spawn(bench.releases.stage, scripts("two"))
        gevent.sleep(0)
    staging.join()
    release = bench.releases._staged
    assert release is not None
    bench.releases.switch(release.id)
    gevent.sleep(0)
    gevent.sleep(0)
    assert bench.releases.current is release
    assert "two" in bench.running()


def test_a_reload_waits_for_the_start(tmp_path: Path) -> None:
    """Else it would stop the workers that are being started."""
    with gevent.Timeout(10):
        path = tmp_path / "script.js"
        path.write_text("one")
        pools: list[StubPool] = []

        def new_pool(scripts: Any) -> Any:
            pools.append(StubPool(scripts))
            pools[-1].may_stop.set()
            return pools[-1]

        releases = Releases([str(path)], new_pool, lambda: None)
        starting = gevent.spawn(releases.start)
        gevent.sleep(0)
        reloading = gevent.spawn(releases.reload)
        gevent.sleep(0)
        assert len(pools) == 1
        pools[0].may_start.set()
        starting.get()
        gevent.sleep(0)
        pools[1].may_start.set()
        reloading.get()
        assert releases.current.pool is pools[1]
