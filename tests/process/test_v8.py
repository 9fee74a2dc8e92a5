"""``--engine v8`` from outside: the commands that take it, and what they say where they cannot."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from madrpc import Client, LocalCluster
from madrpc.engine.choice import ENGINES
from tests.servers import ROOT, environment, madrpc, require_v8

SCRIPT = """
madrpc.register("draw", () => [Math.random(), Math.random()]);
madrpc.register("nap", async () => { await new Promise((r) => setTimeout(r, 1)); return "rested" });
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "script.js"
    path.write_text(SCRIPT)
    return str(path)


def python(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=60,
    )


def test_both_engines_draw_the_same_numbers_from_a_seed(script: str) -> None:
    require_v8()
    drawn = {
        madrpc("run", script, "draw", "--seed", "7", "--engine", name).stdout for name in ENGINES
    }
    assert len(drawn) == 1
    assert len(json.loads(drawn.pop())) == 2


def test_check_and_run_end_with_threads_of_v8_around(script: str) -> None:
    require_v8()
    assert madrpc("check", script, "--engine", "v8").stdout.split() == ["draw()", "nap()"]
    done = madrpc("run", script, "nap", "--engine", "v8")
    assert (done.returncode, json.loads(done.stdout)) == (0, "rested")


def test_snapshots_are_refused(script: str) -> None:
    require_v8()
    done = madrpc("node", "-s", script, "--engine", "v8", "--isolation", "snapshot")
    assert done.returncode == 2
    assert "--isolation context" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("words", [("node", "-s"), ("check",)])
def test_a_missing_package_is_a_usage_error(script: str, words: tuple[str, ...]) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'py_mini_racer' else find(name, *a);"
        "from madrpc.cli.main import run; sys.exit(run(sys.argv[1:]))"
    )
    done = python(code, *words, script, "--engine", "v8")
    assert done.returncode == 2
    assert "pip install 'madrpc[v8]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_quickjs_does_without(script: str) -> None:
    code = (
        "import sys; from madrpc.cli.main import run; run(sys.argv[1:]);"
        "sys.exit('py_mini_racer' in sys.modules)"
    )
    assert python(code, "run", script, "draw").returncode == 0


def test_a_local_cluster_runs_it(script: str) -> None:
    require_v8()
    with LocalCluster(script, engine="v8", pool_size=1) as cluster:
        with cluster.client() as client:
            assert client.call("nap") == "rested"
        with Client(cluster.nodes[0]) as node:
            assert (node.info()["engine"], node.info()["isolation"]) == ("v8", "context")
