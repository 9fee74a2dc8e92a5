"""The command line as a person meets it: output, errors, exit codes, signals."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from madrpc import Client
from tests.servers import Servers, command, environment, madrpc, poll_until

SCRIPT = """
madrpc.register("add", ({a, b}) => ({result: a + b}));
madrpc.register("echo", (x) => x);
madrpc.register("fail", function fail() { throw new TypeError("not today"); });
madrpc.register("spin", ({ms}) => { const end = Date.now() + ms; while (Date.now() < end); });
"""
NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    from tests.servers import servers_in

    with servers_in(tmp_path_factory.mktemp("live")) as servers:
        node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 2)
        yield servers.orchestrator(node)


# ------------------------------------------------------------------ call


@pytest.mark.parametrize(
    ("words", "result"),
    [
        (["add", "a=5", "b=3"], {"result": 8}),
        (["add", '{"a": 5, "b": 3}'], {"result": 8}),
        (["echo", "text=plain words", 'json="5"', "list=[1, null]", "flag=true"],
         {"text": "plain words", "json": "5", "list": [1, None], "flag": True}),
        (["echo", "equals=a=b", "empty=", "nan=NaN"], {"equals": "a=b", "empty": "", "nan": "NaN"}),
        (["echo"], {}),
    ],
)  # fmt: skip
def test_call_takes_arguments_in_every_form(live, words, result) -> None:  # type: ignore[no-untyped-def]
    done = madrpc("call", live.address, *words)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == result
    assert done.stdout.count("\n") == 1


def test_call_reads_a_file_and_standard_input(live, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "args.json").write_text('{"a": 1, "b": "é"}', encoding="utf-8")
    from_file = madrpc("call", live.address, "echo", f"@{tmp_path / 'args.json'}")
    from_stdin = madrpc("call", live.address, "echo", "-", input='{"a": 1, "b": "é"}')
    assert json.loads(from_file.stdout) == json.loads(from_stdin.stdout) == {"a": 1, "b": "é"}
    assert "é" in from_file.stdout


@pytest.mark.parametrize(
    ("words", "status", "expected"),
    [
        (["call", "LIVE", "fail"], 1, r"^madrpc: TypeError: not today\n    at fail \(script.js:4:"),
        (["call", "LIVE", "ad"], 2, "no function is called 'ad'; did you mean 'add'"),
        (["call", "LIVE", "add", "five"], 2, "'five' is neither key=value nor a JSON object"),
        (["call", "LIVE", "add", '{"a": 5,}'], 2, r"line 1 column 9\n  \{\"a\": 5,\}\n {10}\^"),
        (["call", "LIVE", "add", "@/no/such/file"], 2, "cannot read /no/such/file"),
        (["call", "LIVE", "add", "a=9007199254740993"], 2, r"args\.a: 9007199254740993 is beyond"),
        (["call", "LIVE", "spin", "ms=60000", "-t", "0.2"], 4, "CallTimeout: the deadline passed"),
        (["call", "LIVE", "add", "-t", "soon"], 2, "'soon' is not a number above 0"),
        (["call", NOWHERE, "add"], 3, "cannot reach 127.0.0.1:1: connection refused; start a"),
        (["call", "nonsense", "add"], 2, "'nonsense' has no port: write HOST:PORT"),
        (["call", "127.0.0.1:99999", "add"], 2, "the port must be 0 to 65535"),
        (["info", NOWHERE], 3, "connection refused"),
        (["methods", NOWHERE], 3, "connection refused"),
        (["health", NOWHERE, "--live"], 3, "connection refused"),
        (["run", "SCRIPT", "fail"], 1, r"^madrpc: TypeError: not today\n    at fail"),
        (["run", "SCRIPT", "ad"], 2, "did you mean 'add'"),
        (["run", "SCRIPT", "spin", "ms=60000", "--time-limit", "0.2"], 1, "TimeLimitExceeded"),
        (["check", "/no/such.js"], 2, "cannot read /no/such.js: No such file"),
        (["node"], 2, "a node needs a script; give one with -s SCRIPT"),
        (["node", "-s", "/no/such.js"], 2, "cannot read /no/such.js: No such file"),
        (["node", "-s", "SCRIPT", "-b", "127.0.0.1:x"], 2, "the port must be 0 to 65535"),
        (["node", "-s", "SCRIPT", "--pool-size", "0"], 2, "'0' is not a whole number above 0"),
        (["up", "/no/such.js"], 2, "cannot read /no/such.js: No such file"),
        (["nothing"], 2, r"^madrpc: no command is called 'nothing'\n'madrpc --help' lists"),
        (["cal"], 2, "no command is called 'cal'; did you mean 'call'?"),
        (["--hlep"], 2, "no option is called '--hlep'; did you mean '--help'?"),
        (["call"], 2, r"^madrpc: ADDR, METHOD missing\n'madrpc call --help' tells what"),
        (["call", NOWHERE, "add", "--timeut=5"], 2, "'--timeut'; did you mean '--timeout'?"),
        (["node", "--sandbox", "of"], 2, "'of' is none of auto, off, require; did you mean 'off'"),
        (["call", "--timeut", "5", NOWHERE, "add"], 2, "'--timeut'; did you mean '--timeout'?"),
        (["call", "http://localhost:1", "add"], 2, "is an HTTP address; write the HOST:PORT of"),
        (["check", "SCRIPT", "-x"], 2, r"no option is called '-x'"),
        ([], 2, "usage: madrpc"),
    ],
)
def test_mistakes_get_a_sentence_and_a_status(live, words, status, expected) -> None:  # type: ignore[no-untyped-def]
    places = {"LIVE": live.address, "SCRIPT": str(live.log.parent / "script.js")}
    done = madrpc(*[places.get(word, word) for word in words])
    assert (done.returncode, done.stdout) == (status, "")
    assert re.search(expected, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("let a = ;", r"bad\.js:1:9: SyntaxError"),
        ("\n\nthrow new Error('at start')", r"bad\.js:3:\d+: Error: at start"),
        ("let a = 1;", r"bad\.js registers no function"),
        ("madrpc.register('_health', () => 1)", r"bad\.js:1:\d+: TypeError: .*kept for built-in"),
        ("madrpc.register('a', () => 1);\nmadrpc.register('a', () => 1)", r"bad\.js:2:.* twice"),
        ("for (;;);", r"bad\.js.*(interrupted|longer)"),
    ],
)
def test_a_bad_script_is_refused_with_its_place(
    servers: Servers, source: str, expected: str
) -> None:
    script = servers.script(source, "bad.js")
    limit = ["--time-limit", "0.5"] if "for" in source else []
    for words in (["check", script], ["node", "-s", script, "-b", "127.0.0.1:0", *limit]):
        if limit and words[0] == "check":
            continue
        done = madrpc(*words)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.search(expected, done.stderr), done.stderr
        assert len(done.stderr.splitlines()) <= 3


def test_the_same_name_in_two_scripts_is_refused(servers: Servers) -> None:
    one = servers.script("madrpc.register('f', () => 1)")
    two = servers.script("madrpc.register('f', () => 2)", "two.js")
    done = madrpc("node", "-s", one, "-s", two, "-b", "127.0.0.1:0")
    assert done.returncode == 2
    assert "two.js registers 'f', which script.js has registered already" in done.stderr


# ----------------------------------------------------------- other output


def test_check_and_run_need_no_server(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    lines = madrpc("check", script).stdout.splitlines()
    assert [line.split("(")[0] for line in lines] == ["add", "echo", "fail", "spin"]
    assert json.loads(madrpc("run", script, "add", "a=1", "b=2").stdout) == {"result": 3}


def test_methods_and_info(live) -> None:  # type: ignore[no-untyped-def]
    assert madrpc("methods", live.address, "--names").stdout.split() == [
        "add",
        "echo",
        "fail",
        "spin",
    ]
    names = json.loads(madrpc("methods", live.address, "--json").stdout)
    assert names == ["add", "echo", "fail", "spin"]
    text = madrpc("info", live.address).stdout
    assert text.startswith(f"orchestrator at {live.address}  madrpc ")
    assert re.search(r"^127\.0\.0\.1:\d+ +up +2 +\d+ +\S+ +script\.js@[0-9a-f]{8}$", text, re.M)
    info = json.loads(madrpc("info", live.address, "--json").stdout)
    assert (info["role"], info["state"], len(info["nodes"])) == ("orchestrator", "up", 1)
    health = madrpc("health", live.address)
    assert (health.returncode, health.stdout) == (0, "up\n")


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [(">&-", 0, ""), (">/dev/full", 1, "madrpc: no space left on device\n"), (">&- 2>&-", 0, "")],
)
def test_output_that_cannot_be_written(live, where, status, said) -> None:  # type: ignore[no-untyped-def]
    line = " ".join(command("call", live.address, "add", "a=1", "b=2", where))
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (status, "", said)


def test_help_names_defaults_and_variables() -> None:
    for name in ("node", "orchestrator", "orch", "up", "call", "check", "run", "info", "methods"):
        done = madrpc(name, "--help")
        assert done.returncode == 0
        assert done.stdout.startswith("usage: madrpc ")
    text = " ".join(madrpc("node", "--help").stdout.split())
    assert "(default: 30.0; environment: MADRPC_TIME_LIMIT)" in text
    assert "(default: twice the usable processors; environment: MADRPC_POOL_SIZE)" in text
    assert madrpc("--version").stdout.startswith("madrpc ")


def test_environment_stands_in_for_flags(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    env = environment(MADRPC_SCRIPT=str(script), MADRPC_POOL_SIZE="3", MADRPC_BIND="127.0.0.1:0")
    node = servers.start("node", env=env)
    assert "workers=3" in node.ready_line
    wins = servers.start("node", "--pool-size", 1, env=env)
    assert "workers=1" in wins.ready_line
    bad = subprocess.run(
        command("node"), env=environment(MADRPC_POOL_SIZE="many"), capture_output=True, text=True
    )
    assert bad.returncode == 2
    assert "argument --pool-size: 'many' is not a whole number above 0" in bad.stderr


def test_a_closed_pipe_is_no_traceback(live) -> None:  # type: ignore[no-untyped-def]
    line = " ".join(command("info", live.address, "--json")) + " | true"
    done = subprocess.run(["sh", "-c", line], env=environment(), capture_output=True, text=True)
    assert done.stderr == ""


# --------------------------------------------------------------- servers


def test_a_port_in_use_is_named(live, servers: Servers) -> None:  # type: ignore[no-untyped-def]
    done = madrpc("orchestrator", "-b", live.address)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{live.address} is in use by another program" in done.stderr
    done = madrpc("up", servers.script(SCRIPT), "-b", live.address)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"madrpc: InvalidArguments: {live.address} is in use")


def test_sigterm_lets_accepted_calls_finish(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with Client(node.address) as client, ThreadPoolExecutor(1) as threads:
        answer = threads.submit(client.call, "spin", {"ms": 600})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        assert node.stop(signal.SIGTERM) == 0
        assert answer.result(5) is None


@pytest.mark.parametrize("first", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_stops_at_once(servers: Servers, first: int) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1)
    with Client(node.address) as client:
        future = client.submit("spin", {"ms": 25_000})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        node.send(first)
        poll_until(lambda: "draining" in node.stderr(), "the node drains")
        assert node.stop(signal.SIGTERM, timeout_s=5) == (130 if first == signal.SIGINT else 0)
        future.cancel()


def test_draining_gives_up_at_its_timeout(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 1, "--drain-timeout", 0.3)
    with Client(node.address) as client:
        future = client.submit("spin", {"ms": 25_000})
        poll_until(lambda: client.metrics()["workers"]["busy"] == 1, "the call runs")
        assert node.stop(signal.SIGTERM, timeout_s=10) == 0
        future.cancel()


def test_logs_can_be_json(servers: Servers) -> None:
    """Every line, whoever wrote it."""
    loud = servers.script(
        """madrpc.register("say", ({text}) => { console.warn(text); return 1; });"""
    )
    node = servers.node("-s", loud, "--pool-size", 1, "--log-format", "json")
    orchestrator = servers.orchestrator(node, words=("--log-format", "json"))
    text = "two\nlines, \u2028\u0085\x1b \u00e9 \U0001f600" + "x" * 1000
    with Client(node.address) as client:
        assert client.call("say", {"text": text}) == 1
    assert orchestrator.stop() == 0
    assert node.stop() == 0
    lines = [json.loads(line) for line in orchestrator.stderr().splitlines()]
    assert lines[0]["event"] == f"node {node.address} is up"
    said = [json.loads(line) for line in node.stderr().splitlines()]
    assert all({"ts", "level", "logger", "event"} <= line.keys() for line in lines + said)
    assert any(text in line["event"] and line["level"] == "warning" for line in said)


UNRULY = """
import logging, os, sys, threading, warnings
import gevent
from madrpc.cli.logs import configure_logging

def fail():
    raise ValueError("not\\nnow")

configure_logging("info", "json")
log = logging.getLogger("test")
log.info("a half \\ud800, %s", "x" * 1_000_000)
try:
    fail()
except ValueError:
    log.exception("failed")
warnings.warn("careful")
gevent.spawn(fail).join()
thread = threading.Thread(target=fail)
thread.start()
thread.join()  # or its lines mix with the next ones
os.write(2, b"bytes \\xff of a library\\n")
os.system("echo a child >&2")
sys.stderr.write("no line end")
fail()
"""


def test_what_others_write_to_stderr_is_json_too() -> None:
    """The interpreter, gevent's hub, threads, warnings, C code, child processes, last words."""
    done = subprocess.run(
        [sys.executable, "-c", UNRULY], capture_output=True, env=environment(), timeout=60
    )
    lines = [json.loads(line) for line in done.stderr.decode("ascii").splitlines()]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]{8}\.\d{3}Z", line["ts"]) for line in lines)
    events = [line["event"] for line in lines]
    assert "a half \ud800, " + "x" * 1_000_000 in events
    assert "careful" in next(e["event"] for e in lines if e["logger"] == "py.warnings")
    assert "ValueError: not\nnow" in next(e["exception"] for e in lines if e["event"] == "failed")
    assert {"bytes \\xff of a library", "a child"} <= set(events)
    assert events.count("ValueError: not") == 3
    assert any("no line end" in event for event in events[-8:])


def test_a_script_error_at_start_is_json_too(servers: Servers) -> None:
    done = madrpc("node", "-s", servers.script("1 +;"), "--log-format", "json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert done.returncode == 2
    assert any("SyntaxError" in line["event"] for line in lines)


def test_up_runs_everything_until_ctrl_c(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    with (servers.folder / "up.log").open("w") as stderr:
        up = subprocess.Popen(
            command("up", script, "--nodes", 2, "--pool-size", 1, "-b", "127.0.0.1:0"),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=environment(),
        )
    with up:
        assert up.stdout is not None
        address = up.stdout.readline().partition(" ready on ")[2].split()[0]
        with Client(address) as client:
            assert client.call("add", {"a": 1, "b": 2}) == {"result": 3}
            ports = [int(node["address"].rpartition(":")[2]) for node in client.info()["nodes"]]
            running = [client.submit("spin", {"ms": 600}) for _ in range(4)]
            poll_until(lambda: client.metrics()["in_flight"] == 4, "calls are in flight")
            up.send_signal(signal.SIGINT)
            assert [call.result() for call in running] == [None] * 4
        assert len(ports) == 2
        assert up.wait(20) == 130
    assert (servers.folder / "up.log").read_text() == ""
    for port in ports:
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", port), timeout=1)


def test_the_servers_of_a_killed_up_end_too(servers: Servers) -> None:
    script = servers.script(SCRIPT)
    up = subprocess.Popen(
        command("up", script, "--pool-size", 1, "-b", "127.0.0.1:0"),
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    with up:
        assert up.stdout is not None
        address = up.stdout.readline().partition(" ready on ")[2].split()[0]
        up.kill()
        up.wait(10)

    def refused() -> bool:
        host, port = address.split(":")
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            return True
        return False

    poll_until(refused, "the orchestrator ended")


def test_variables_stand_in_for_repeated_flags(servers: Servers) -> None:
    env = environment(MADRPC_NODE="127.0.0.1:1,127.0.0.1:2")
    orchestrator = servers.start("orchestrator", "-b", "127.0.0.1:0", env=env)
    assert "nodes 0/2 up" in orchestrator.ready_line
    bad = subprocess.run(
        command("orchestrator"), env=environment(MADRPC_NODE="no"), capture_output=True, text=True
    )
    assert bad.returncode == 2
    assert "MADRPC_NODE: 'no' has no port" in bad.stderr
