"""One worker of a machine gets its claim, and another as soon as that one lets go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def test_one_of_several_gets_the_claim(tmp_path: Path) -> None:
    from madrpc.dask.claim import HostClaim

    first, second, other = (HostClaim(name, str(tmp_path)) for name in ("a", "a", "b"))
    assert first.take()
    assert first.take()
    assert not second.take()
    assert other.take()
    assert (first.is_held, second.is_held) == (True, False)
    first.release()
    assert second.take()
    assert not first.take()
    second.release()
    second.release()
    other.release()
    assert os.listdir(tmp_path) == []


def test_a_deleted_file_gives_no_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from madrpc.dask import claim

    first, second, third = (claim.HostClaim("a", str(tmp_path)) for _ in range(3))
    assert first.take()
    lock = claim.fcntl.flock

    def after_another_let_go(fd: int, how: int) -> None:
        first.release()
        lock(fd, how)

    monkeypatch.setattr(claim.fcntl, "flock", after_another_let_go)
    assert not second.take()
    monkeypatch.undo()
    assert third.take()
    assert not second.take()
    third.release()


def test_processors_of_ones_own_make_a_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from madrpc.dask import claim

    first = claim.HostClaim("a", str(tmp_path))
    monkeypatch.setattr(claim.os, "sched_getaffinity", lambda _: {7, 8}, raising=False)
    second = claim.HostClaim("a", str(tmp_path))
    assert first.take()
    assert second.take()
    first.release()
    second.release()
