"""map, bench, doctor and run, as commands."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import as_completed
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client, JavaScriptError
from tests.servers import (
    RunningServer,
    command,
    environment,
    madrpc,
    poll_until,
    servers_in,
)

SCRIPT = """
madrpc.register("add", ({a, b = 0}) => ({sum: a + b}));
madrpc.register("odd", ({a}) => {
  if (a % 2 === 0) throw new RangeError(`${a} is even`);
  return a;
});
madrpc.register("spin", ({ms}) => { const end = Date.now() + ms; while (Date.now() < end); });
madrpc.register("sleep", ({ms}) => new Promise(done => setTimeout(() => done(ms), ms)));
madrpc.register("tree", async ({n}) => n === 0 ? 1 :
  (await Promise.all([1, 2].map(() => madrpc.call("tree", {n: n - 1})))).reduce((a, b) => a + b));
madrpc.register("log", () => { console.log("hello", {a: 1}); console.error("oh"); return null; });
madrpc.register("draw", () => Math.random());
madrpc.register("caught", async () => {
  try { await madrpc.call("odd", {a: 2}) } catch (e) { return e.message } });
madrpc.register("forever", () => madrpc.call("forever", {}));
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with servers_in(tmp_path_factory.mktemp("tools")) as servers:
        yield servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tools.js"
    path.write_text(SCRIPT)
    return path


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


# ------------------------------------------------------------------- map


def test_map_keeps_the_order(node: RunningServer) -> None:
    given = "".join(f'{{"a": {n}}}\n\n' for n in range(200))
    done = madrpc("map", node.address, "add", "--set", "b=1", input=given)
    assert done.returncode == 0, done.stderr
    assert lines(done.stdout) == [{"sum": n + 1} for n in range(200)]
    assert done.stderr.splitlines()[-1].startswith("map 200 done")


def test_map_takes_bare_values_under_a_name(node: RunningServer) -> None:
    done = madrpc("map", node.address, "add", "--arg", "a", "-q", "--unordered", input="3\n1\n2\n")
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(row["sum"] for row in lines(done.stdout)) == [1, 2, 3]


def test_map_stops_at_the_first_error(node: RunningServer) -> None:
    done = madrpc("map", node.address, "odd", "--arg", "a", input="1\n3\n4\n5\n")
    assert done.returncode == 1
    assert lines(done.stdout) == [1, 3]
    assert "RangeError: 4 is even" in done.stderr


def test_map_may_go_on(node: RunningServer) -> None:
    done = madrpc("map", node.address, "odd", "--arg", "a", "--keep-going", input="1\n2\n3\n")
    assert done.returncode == 1
    first, failed, last = lines(done.stdout)
    assert (first, last) == (1, 3)
    assert failed["error"]["name"] == "JavaScriptError"
    assert "failed 1" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n{"a":\n', "line 2 is not JSON: '{\"a\":'"),
        ("5\n", "line 1 holds int, not an object such as {}; --arg NAME passes"),
        ("[" * 100_000, "line 1 is not JSON"),
    ],
)
def test_map_names_the_line_that_is_wrong(node: RunningServer, text: str, message: str) -> None:
    done = madrpc("map", node.address, "add", input=text)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_map_reads_no_further_than_its_window(node: RunningServer) -> None:
    words = command("map", node.address, "add", "--arg", "a", "-c", "4", "-q")
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        for n in range(8):
            process.stdin.write(f"{n}\n")
        process.stdin.close()
        assert lines(process.stdout.read()) == [{"sum": n} for n in range(8)]
    assert process.returncode == 0


def test_map_ends_with_ctrl_c(node: RunningServer) -> None:
    words = command("map", node.address, "spin", "--set", "ms=20000", "-q")
    process = subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=environment(),
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write("{}\n{}\n")
    process.stdin.close()
    process.stdin = None
    with Client(node.address) as client:
        poll_until(lambda: client.metrics()["workers"]["busy"] == 2, "both run")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in errors
        poll_until(lambda: client.metrics()["workers"]["busy"] == 0, "both were cancelled")


# ----------------------------------------------------------------- bench


def test_bench_counts_calls(node: RunningServer, tmp_path: Path) -> None:
    saved = tmp_path / "before.json"
    words = ("bench", node.address, "add", "a=1", "-n", "200", "-c", "8", "--warmup", "0")
    done = madrpc(*words, "--save", saved, "--fail-if", "errors>0", "--fail-if", "p99>30s")
    assert done.returncode == 0, done.stderr
    assert "  200 calls  " in done.stdout
    assert "errors 0" in done.stdout
    assert done.stdout.count(" ms ") == 10
    assert done.stderr.count("PASS") == 2
    report = json.loads(saved.read_text())
    assert report["calls"] == 200
    assert 0 < report["min"] <= report["p50"] <= report["p95"] <= report["p99"] <= report["max"]
    compared = madrpc("bench", "compare", saved, saved)
    assert compared.returncode == 0
    assert "p95" in compared.stdout
    assert "+0.0 %" in compared.stdout


def test_bench_misses_a_threshold(node: RunningServer) -> None:
    words = ("-n", "20", "--warmup", "0", "--json", "--args", '{"ms": 5}')
    done = madrpc("bench", node.address, "spin", *words, "--fail-if", "p50<1s")
    assert done.returncode == 5
    assert json.loads(done.stdout)["min"] >= 4.9


def test_bench_at_a_rate_counts_from_when_a_call_was_meant(node: RunningServer) -> None:
    # Two workers manage 100 such calls a second; at 200 the queue grows to half a second.
    words = ("-r", "200", "-d", "1", "--warmup", "0", "--json", "--args", '{"ms": 20}')
    done = madrpc("bench", node.address, "spin", *words)
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert 150 <= report["calls"] <= 201
    assert report["max"] > 300 > report["min"]


def test_bench_tells_what_failed(node: RunningServer) -> None:
    done = madrpc("bench", node.address, "odd", "a=2", "-n", "5")
    assert done.returncode == 1
    assert "RangeError: 2 is even" in done.stderr
    done = madrpc("bench", node.address, "spin", "ms=300", "-t", "0.35", "-n", "8", "--warmup", "0")
    assert "x CallTimeout" in done.stdout
    assert "first error: " in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("127.0.0.1:1",), "give the function to call"),
        (("127.0.0.1:1", "f", "--fail-if", "p95"), "is no condition"),
        (("127.0.0.1:1", "f", "-r", "0"), "is not a number above 0"),
        (("compare", "/no/file", "/no/other"), "cannot read /no/file: no such file"),
        (("compare", "/dev/null"), "give two files"),
        (("compare", "/dev/null", "/dev/null"), "is not a file that 'madrpc bench --save' wrote"),
    ],
)
def test_bench_refuses_what_makes_no_sense(words: tuple[str, ...], message: str) -> None:
    done = madrpc("bench", *words)
    assert done.returncode == 2
    assert message in done.stderr


# ---------------------------------------------------------------- doctor


def test_doctor_looks_at_everything() -> None:
    done = madrpc("doctor")
    assert done.returncode == 0, done.stdout
    for about in ("versions", "cpu", "memory", "engine", "sandbox", "files", "port", "extra"):
        assert f" {about} " in done.stdout
    assert "million loop steps a second" in done.stdout
    findings = json.loads(madrpc("doctor", "--json").stdout)
    assert {finding["state"] for finding in findings} <= {"ok", "warn"}


# ------------------------------------------------------------------- run


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (("sleep", "ms=30"), 30),
        (("tree", "n=4"), 16),
        (("caught",), "RangeError: 2 is even"),
    ],
)
def test_run_waits_for_timers_and_nested_calls(
    script: Path, words: tuple[str, ...], result: Any
) -> None:
    done = madrpc("run", script, *words)
    assert (done.returncode, json.loads(done.stdout)) == (0, result), done.stderr


def test_run_prints_the_console_and_takes_a_seed(script: Path) -> None:
    done = madrpc("run", script, "log")
    assert done.stdout == "null\n"
    assert done.stderr == "info: hello { a: 1 }\nerror: oh\n"
    seen = [madrpc("run", script, "draw", "--seed", "7").stdout for _ in range(2)]
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("forever",), "more than 32 deep"),
        (("sleep", "ms=60000", "--time-limit", "0.2"), "waits for a timer beyond its time limit"),
    ],
)
def test_run_ends_in_the_error_it_deserves(
    script: Path, words: tuple[str, ...], message: str
) -> None:
    done = madrpc("run", script, *words)
    assert done.returncode == 1
    assert message in done.stderr


# -------------------------------------------------------------- executor


def test_a_client_is_an_executor(node: RunningServer) -> None:
    with Client(node.address) as client:
        with client.executor() as executor:
            futures = [executor.submit("add", a=n, b=1) for n in range(20)]
            assert sorted(future.result()["sum"] for future in as_completed(futures)) == list(
                range(1, 21)
            )
            rows = executor.map("add", [{"a": n} for n in range(5)])  # type: ignore[arg-type]
            assert [row["sum"] for row in rows] == list(range(5))
            with pytest.raises(JavaScriptError):
                executor.submit("odd", {"a": 2}).result()
            with pytest.raises(TypeError, match="pass the name of a function"):
                executor.submit(print, 1)
            with pytest.raises(TypeError, match="by name, or as one dict"):
                executor.submit("add", 1, 2)
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit("add", a=1)
        slow = client.executor()
        running = [slow.submit("spin", ms=20_000) for _ in range(3)]
        slow.shutdown(cancel_futures=True)
        assert all(future.cancelled() for future in running)
        assert client.call("add", {"a": 1}) == {"sum": 1}


def test_a_load_test_may_be_run_from_python(node: RunningServer) -> None:
    from madrpc.client.loadtest import Plan

    with Client(node.address) as client:
        result = client.load_test("add", {"a": 1}, Plan(4, calls=50))
    assert len(result.latencies_ms) == 50
    assert list(result.latencies_ms) == sorted(result.latencies_ms)
    assert not result.errors
    assert all(a <= b for a, b in itertools.pairwise(result.latencies_ms))
