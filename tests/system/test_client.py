"""What only the blocking client does: threads, forks, gevent. The rest is in the contract."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest

from madrpc import (
    Client,
    JavaScriptError,
)
from tests.clients import SCRIPT
from tests.servers import ROOT, RunningServer, environment, poll_until, servers_in


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An orchestrator with one node of four workers."""
    with servers_in(tmp_path_factory.mktemp("live")) as servers:
        node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 4)
        yield servers.orchestrator(node)


@pytest.fixture
def client(live: RunningServer) -> Iterator[Client]:
    with Client(live.address, timeout=20) as made:
        yield made


# ------------------------------------------------------------------ call


def test_more_threads_than_connections(live: RunningServer) -> None:
    with Client(live.address, max_connections=2) as client, ThreadPoolExecutor(24) as threads:
        results = list(threads.map(lambda n: client.call("double", {"n": n}), range(600)))
        assert client.metrics()["connections"] <= 2 + 1
    assert results == [2 * n for n in range(600)]


def test_an_interrupt_in_a_call_cannot_mix_up_answers(client: Client) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt(number: int, frame: object) -> None:
        raise Interrupt

    client.call("double", {"n": 0})
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupt):
                client.call("spin", {"ms": 5_000, "tag": "stale"})
            assert client.call("echo", {"fresh": 1}) == {"fresh": 1}
    finally:
        signal.signal(signal.SIGALRM, before)
    poll_until(lambda: client.metrics()["in_flight"] == 0, "the calls were cancelled")


# ---------------------------------------------------------------- submit


def test_submit_returns_real_futures(client: Client) -> None:
    futures = {client.submit("double", {"n": n}): n for n in range(200)}
    for future in as_completed(futures, timeout=20):
        assert future.result() == 2 * futures[future]
    failed = client.submit("fail", {"n": 1})
    assert isinstance(failed.exception(20), JavaScriptError)


# --------------------------------------------------------- surroundings


def test_a_forked_child_gets_connections_of_its_own(client: Client) -> None:
    assert client.submit("double", {"n": 1}).result(10) == 2
    assert client.call("double", {"n": 1}) == 2
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            right = [client.call("double", {"n": n}) == 2 * n for n in range(200)]
            right.append(client.submit("double", {"n": 5}).result(10) == 10)
            code = 0 if all(right) else 1
        finally:
            os._exit(code)
    os.close(read)
    os.close(write)
    for n in range(200):
        assert client.call("double", {"n": n}) == 2 * n
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_threads_share_one_client(client: Client) -> None:
    wrong: list[object] = []

    def work(base: int) -> None:
        for n in range(base, base + 100):
            if client.call("double", {"n": n}) != 2 * n:
                wrong.append(n)

    threads = [threading.Thread(target=work, args=(1000 * i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


GEVENT_PROGRAM = """
from gevent import monkey; monkey.patch_all()
import gevent, sys, time
from madrpc import Client
with Client(sys.argv[1]) as client:
    ticks = []
    def tick():
        while True:
            ticks.append(1)
            gevent.sleep(0.01)
    ticker = gevent.spawn(tick)
    jobs = [gevent.spawn(client.call, "spin", {"ms": 150, "tag": n}) for n in range(8)]
    gevent.joinall(jobs, timeout=20)
    assert [job.value for job in jobs] == list(range(8)), [job.value for job in jobs]
    assert len(ticks) > 5, ticks
    assert client.submit("double", {"n": 2}).result(10) == 4
    assert list(client.map("double", [{"n": n} for n in range(50)])) == [2*n for n in range(50)]
    ticker.kill()
"""


def test_under_gevent_monkey_patching(live: RunningServer) -> None:
    done = subprocess.run(
        [sys.executable, "-c", GEVENT_PROGRAM, live.address],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(),
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


IMPORT_PROGRAM = """
import sys
{statement}
heavy = (
    "gevent", "quickjs", "psutil", "prometheus_client", "tqdm", "asyncio", "textual", "rich",
    "http", "multiprocessing", "cryptography", "email", "html", "unittest", "shtab", "uvloop",
    "madrpc.engine", "madrpc.links", "madrpc.node", "madrpc.orchestrator", "madrpc.http",
    "madrpc.top",
)
print([name for name in heavy if name in sys.modules])
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import madrpc",
        "import madrpc.cli.parsers",
        "from madrpc.cli.main import run; run(['call', '--help'])",
        "from madrpc.cli.main import run; run(['completion', 'bash'])",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    program = IMPORT_PROGRAM.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr
