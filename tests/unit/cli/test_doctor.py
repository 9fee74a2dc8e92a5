"""What ``madrpc doctor`` says of machines that lack something."""

from __future__ import annotations

import argparse
import importlib.util
import json
import types

import psutil
import pytest

from madrpc.cli import doctor


def test_a_quota_and_an_affinity_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "cgroup_quota", lambda: 1.5)
    monkeypatch.setattr(doctor, "usable_cpus", lambda: 2)
    monkeypatch.setattr(doctor, "default_pool_size", lambda: 4)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    (found,) = doctor._processors()
    assert found.text == "2 usable of 8, so a node starts 4 workers; the control group allows 1.5"


def test_little_memory_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    little = types.SimpleNamespace(available=50 * 2**20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: little)
    (found,) = doctor._memory()
    assert found.state == "warn"
    assert found.text.endswith("; start fewer with --pool-size")


def test_few_open_files_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "connections_that_fit", lambda wanted: 100)
    (found,) = doctor._files()
    assert found.state == "warn"
    assert found.text.endswith("room for 100 connections; raise 'ulimit -n'")


def test_no_sandbox_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "support", lambda: "this kernel has no seccomp")
    (found,) = doctor._sandbox()
    assert (found.state, found.text) == (
        "warn",
        "workers would run without: this kernel has no seccomp",
    )


def test_extras_that_are_missing_say_what_they_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert next(found.text for found in doctor._extras()) == (
        "without top there is not: the full screen of 'madrpc top'; pip install 'madrpc[top]'"
    )
    assert {found.state for found in doctor._extras()} == {"ok"}


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("warn", 0), ("fail", 2)])
def test_only_what_fails_is_a_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, status: int
) -> None:
    finding = doctor.Finding(state, "engine", "what is the matter; what to do")
    monkeypatch.setattr(doctor, "_CHECKS", (lambda: [finding],))
    assert doctor.run_doctor(argparse.Namespace(json=False)) == status
    assert capsys.readouterr().out == f"{state:5} engine    what is the matter; what to do\n"
    assert doctor.run_doctor(argparse.Namespace(json=True)) == status
    (told,) = json.loads(capsys.readouterr().out)
    assert told == {"state": state, "about": "engine", "text": "what is the matter; what to do"}
