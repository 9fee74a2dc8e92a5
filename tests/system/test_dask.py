"""A service on a real Dask cluster of processes: what it survives, and that nothing of it stays."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from madrpc import (
    Client,
    ConnectionFailed,
    InvalidArguments,
    InvalidRequest,
    NoNodeAvailable,
    ScriptError,
    Unauthenticated,
)
from tests.servers import EXAMPLES, Servers, environment, poll_until, require_distributed

SPIN = """
madrpc.register("spin", ({ms, tag}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return tag;
});
"""
# Dask warns of its own unclosed things when a worker or a scheduler is killed.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning:distributed")


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Folders for temporary files: workers that share one are of one host to madrpc."""
    return [str(tmp_path_factory.mktemp(name)) for name in ("a", "b")]


@pytest.fixture(scope="module")
def cluster(hosts: list[str]) -> Iterator[Any]:
    """Two workers on one host, and one on another, each under a nanny."""
    require_distributed()
    from distributed import Nanny, Scheduler, SpecCluster

    first, second = (
        {"cls": Nanny, "options": {"nthreads": 1, "env": {"TMPDIR": host}, "host": "127.0.0.1"}}
        for host in hosts
    )
    scheduler = {"cls": Scheduler, "options": {"dashboard": False, "host": "127.0.0.1"}}
    with SpecCluster(
        workers={0: first, 1: first, 2: second}, worker=first, scheduler=scheduler
    ) as running:
        yield running


@pytest.fixture(scope="module")
def dask(cluster: Any) -> Iterator[Any]:
    from distributed import Client as DaskClient

    with DaskClient(cluster, set_as_default=False) as client:
        client.wait_for_workers(3)
        yield client


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("scripts") / "spin.js"
    path.write_text(SPIN)
    return str(path)


@pytest.fixture(scope="module")
def service(dask: Any, script: str) -> Iterator[Any]:
    from madrpc.dask import deploy

    with deploy(dask, script, pool_size=2, timeout=60.0, handover=6.0) as client:
        yield client


def processes(*words: str) -> list[psutil.Process]:
    """Processes whose command lines hold all the words."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if set(words) <= set(process.cmdline()):
                found.append(process)
    return found


def nodes(service: Any) -> list[psutil.Process]:
    return processes("node", "--orchestrator", service.address)


def pid_of(dask: Any, worker: str) -> int:
    pid: int = dask.run(os.getpid, workers=[worker])[worker]
    return pid


def owner_on(dask: Any, service: Any, host: str) -> str:
    """The worker that runs the node of a host, once there is one."""

    def look() -> str | None:
        folders = dask.run(tempfile.gettempdir, workers=service.hosts(), on_error="ignore")
        return next((worker for worker, folder in folders.items() if folder == host), None)

    return str(poll_until(look, f"a node on {host}", 60))


class Load:
    """Calls without pause from a thread; their results must be right whatever happens."""

    def __init__(self, client: Client) -> None:
        self.done = 0
        self._client = client
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(90)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error

    def goes_on(self, calls: int = 40) -> None:
        """Wait for so many more answers."""
        goal = self.done + calls
        poll_until(lambda: self._error or self.done >= goal, f"{calls} more answers", 60)

    def _items(self) -> Iterator[dict[str, int]]:
        tag = 0
        while not self._stop.is_set():
            yield {"ms": 10, "tag": tag}
            tag += 1

    def _run(self) -> None:
        try:
            for result in self._client.map("spin", self._items(), concurrency=8):
                assert result == self.done
                self.done += 1
        except BaseException as error:
            self._error = error


# ----------------------------------------------------------------- a service


def test_a_service_has_one_node_on_each_host(dask: Any, service: Any) -> None:
    assert isinstance(service, Client)
    assert len(dask.scheduler_info()["workers"]) == 3
    assert len(service.hosts()) == len(nodes(service)) == 2
    assert service.info()["workers"] == 4
    assert list(service.map("spin", [{"ms": 0, "tag": i} for i in range(50)])) == list(range(50))
    workers = {pid_of(dask, worker) for worker in service.hosts()}
    assert {process.ppid() for process in nodes(service)} == workers
    # Ctrl-C in the terminal of a notebook or of a worker must not end them.
    assert all(os.getsid(process.pid) == process.pid for process in nodes(service))


def test_a_service_is_open_to_nobody_else(service: Any) -> None:
    with Client(service.address) as stranger, pytest.raises(Unauthenticated):
        stranger.call("spin", {"ms": 0})
    with Client(service.address, token=service.token) as friend:
        assert friend.call("spin", {"ms": 0, "tag": 1}) == 1
    addresses = [service.address, *(node["address"] for node in service.info()["nodes"])]
    assert all(address.startswith("127.0.0.1:") for address in addresses)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            assert service.token not in " ".join(process.cmdline())
            assert service.token not in process.environ().values()
    assert service.token not in repr(service)


def test_a_service_says_where_it_is(service: Any) -> None:
    shown = re.fullmatch(
        r"<Deployment 127\.0\.0\.1:\d+ on Dask tcp://127\.0\.0\.1:\d+>", repr(service)
    )
    assert shown


# ------------------------------------------------------------------- faults


def test_no_call_is_lost_when_a_worker_is_killed(dask: Any, service: Any, hosts: list[str]) -> None:
    with Load(service) as load:
        load.goes_on()
        victim = owner_on(dask, service, hosts[0])
        pid = pid_of(dask, victim)
        orphans = [process for process in nodes(service) if process.ppid() == pid]
        assert len(orphans) == 1
        os.kill(pid, signal.SIGKILL)
        poll_until(lambda: not orphans[0].is_running(), "the node is gone with its worker", 40)
        poll_until(lambda: victim not in dask.scheduler_info()["workers"], "Dask has noticed", 40)
        assert owner_on(dask, service, hosts[0]) != victim
        load.goes_on()


def test_no_call_is_lost_when_a_worker_is_restarted(
    dask: Any, service: Any, hosts: list[str]
) -> None:
    with Load(service) as load:
        worker = owner_on(dask, service, hosts[1])
        pid = pid_of(dask, worker)
        load.goes_on()
        dask.restart_workers([worker])
        again = owner_on(dask, service, hosts[1])
        assert pid_of(dask, again) != pid
        poll_until(lambda: len(nodes(service)) == 2, "only the new node is there", 40)
        load.goes_on()
    dask.wait_for_workers(3)


def test_a_node_that_dies_is_started_again(dask: Any, service: Any, hosts: list[str]) -> None:
    worker = owner_on(dask, service, hosts[0])
    pid = pid_of(dask, worker)
    (node,) = (process for process in nodes(service) if process.ppid() == pid)
    with Load(service) as load:
        load.goes_on(10)
        node.kill()
        poll_until(lambda: not node.is_running(), "the node is dead and reaped")
        owner_on(dask, service, hosts[0])
        poll_until(lambda: len(nodes(service)) == 2, "the host has a node again", 40)
        load.goes_on()


def test_no_call_is_lost_when_workers_join_and_retire(
    cluster: Any, dask: Any, service: Any, hosts: list[str]
) -> None:
    with Load(service) as load:
        load.goes_on()
        before = set(dask.scheduler_info()["workers"])
        cluster.scale(4)
        dask.wait_for_workers(4)
        (late,) = set(dask.scheduler_info()["workers"]) - before
        assert len(service.hosts()) == 2
        assert late not in service.hosts()
        dask.retire_workers([owner_on(dask, service, hosts[0])])
        owner_on(dask, service, hosts[0])
        load.goes_on()
        dask.retire_workers([owner_on(dask, service, hosts[1])])
        poll_until(lambda: len(nodes(service)) == 1, "the host without workers has no node", 40)
        load.goes_on()


def test_no_call_is_lost_when_the_only_host_changes_hands(
    dask: Any, service: Any, hosts: list[str]
) -> None:
    victim = owner_on(dask, service, hosts[0])
    assert service.hosts() == [victim]
    with Load(service) as load:
        load.goes_on()
        os.kill(pid_of(dask, victim), signal.SIGKILL)
        poll_until(lambda: service.hosts() not in ([], [victim]), "another worker has it", 40)
        poll_until(lambda: len(nodes(service)) == 1, "the first node has gone", 40)
        load.goes_on()


# ---------------------------------------------------------------- the end


def leftovers(dask: Any, name: str) -> list[str]:
    """What is still there of a deployment."""

    def on_scheduler(dask_scheduler: Any) -> list[str]:
        return [*dask_scheduler.plugins, *dask_scheduler.worker_plugins]

    def on_worker(dask_worker: Any) -> list[str]:
        return list(dask_worker.plugins)

    plugins = [*dask.run_on_scheduler(on_scheduler)]
    for found in dask.run(on_worker).values():
        plugins += found
    return [plugin for plugin in plugins if plugin == name]


def test_two_services_live_side_by_side_and_leave_nothing(
    dask: Any, script: str, hosts: list[str], tmp_path: Path
) -> None:
    from madrpc.dask import deploy

    files = [os.listdir(host) for host in hosts]
    other = tmp_path / "other.js"
    other.write_text('madrpc.register("other", () => 2)')
    with deploy(dask, script, pool_size=1) as first:
        with deploy(dask, [other, script], pool_size=1, http="127.0.0.1:0") as second:
            assert first.methods() == ["spin"]
            assert second.methods() == ["other", "spin"]
            assert second.call("other") == 2
            assert second.url is not None
            servers = processes("madrpc", "orchestrator")
            assert len(servers) >= 2
            ended = nodes(second)
            assert leftovers(dask, second._launch.name)
        assert not any(process.is_running() for process in ended)
        assert not leftovers(dask, second._launch.name)
        with pytest.raises(ConnectionFailed), Client(second.address, token=second.token) as late:
            late.call("other")
        assert first.call("spin", {"ms": 0, "tag": 3}) == 3
        assert nodes(first)
    assert not nodes(first)
    assert [os.listdir(host) for host in hosts] == files
    assert repr(first).startswith("<Deployment closed on Dask")
    first.close()


def test_the_end_of_the_dask_client_ends_the_service(cluster: Any, script: str) -> None:
    from distributed import Client as DaskClient

    from madrpc.dask import deploy

    dask = DaskClient(cluster, set_as_default=False)
    service = deploy(dask, script, pool_size=1)
    running = nodes(service)
    assert running
    dask.close()
    poll_until(lambda: not any(p.is_running() for p in running), "the nodes are gone", 40)
    service.close()


def test_a_scheduler_that_is_killed_takes_the_service_along(tmp_path: Path, script: str) -> None:
    require_distributed()
    from distributed import Client as DaskClient

    from madrpc.dask import deploy

    file = tmp_path / "scheduler.json"
    words = ["--scheduler-file", str(file), "--no-dashboard"]
    scheduler = dask_process("scheduler", "--host", "127.0.0.1", "--port", "0", *words)
    worker = dask_process("worker", *words, "--nthreads", "1", "--death-timeout", "30")
    try:
        poll_until(file.exists, "the scheduler is there")
        with DaskClient(scheduler_file=str(file), set_as_default=False) as dask:
            dask.wait_for_workers(1)
            service = deploy(dask, script, pool_size=1, timeout=20, handover=1)
            assert service.call("spin", {"ms": 0, "tag": 1}) == 1
            running = [*nodes(service), *psutil.Process(scheduler.pid).children()]
            assert len(running) == 2
            scheduler.kill()
            poll_until(lambda: not running[1].is_running(), "the orchestrator is gone")
            with pytest.raises(ConnectionFailed):
                service.call("spin", {"ms": 0})
            worker.kill()
            poll_until(lambda: not running[0].is_running(), "the node is gone", 40)
            service.close()
    finally:
        for process in (worker, scheduler):
            process.kill()
            process.wait()


def dask_process(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


# ------------------------------------------------- where the orchestrator runs


def test_the_orchestrator_runs_on_this_machine(dask: Any, script: str) -> None:
    from madrpc.dask import deploy

    with deploy(dask, script, pool_size=1, orchestrator="client") as service:
        assert service.call("spin", {"ms": 0, "tag": 1}) == 1
        assert nodes(service)
    assert not nodes(service)


def test_the_orchestrator_runs_already(dask: Any, script: str, servers: Servers) -> None:
    from madrpc.dask import deploy

    secret = servers.script("a secret\n", "token")
    there = servers.orchestrator(words=("--auth-token-file", secret))
    with pytest.raises(Unauthenticated):
        deploy(dask, script, pool_size=1, orchestrator=there.address, ready_timeout=5)
    assert not processes("node", "--orchestrator", there.address)
    with deploy(dask, script, pool_size=1, orchestrator=there.address, token="a secret") as service:
        assert service.address == there.address
        assert service.call("spin", {"ms": 0, "tag": 1}) == 1
    assert there.alive
    assert not processes("node", "--orchestrator", there.address)


# ----------------------------------------------------------------- mistakes


def test_a_broken_script_starts_nothing(dask: Any, tmp_path: Path) -> None:
    from madrpc.dask import deploy

    broken = tmp_path / "broken.js"
    broken.write_text("let x = 1;\nlet y = ;")
    before = dask.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.plugins))
    with pytest.raises(ScriptError) as caught:
        deploy(dask, broken)
    assert (caught.value.data["file"], caught.value.data["line"]) == ("broken.js", 2)
    with pytest.raises(ScriptError, match="cannot read"):
        deploy(dask, tmp_path / "none.js")
    assert dask.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.plugins)) == before


def test_a_node_that_cannot_start_says_why(dask: Any, script: str) -> None:
    from madrpc.dask import deploy

    with pytest.raises(
        InvalidArguments, match=r"Dask worker tcp://\S+ says: argument --queue-size"
    ):
        deploy(dask, script, queue_size=-1)


def test_other_mistakes_get_a_sentence(
    dask: Any, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from madrpc.dask import deploy, launch

    with pytest.raises(TypeError, match="not LocalCluster"):
        deploy(type("LocalCluster", (), {})(), script)
    with pytest.raises(ValueError, match="has no port"):
        deploy(dask, script, orchestrator="scheduler.example")
    with pytest.raises(InvalidArguments, match="--bind"):
        deploy(dask, script, flags=["--bind", "0.0.0.0:0"])
    monkeypatch.setattr(type(dask), "run", lambda *_, **__: {})
    with pytest.raises(NoNodeAvailable, match="no workers"):
        deploy(dask, script)
    monkeypatch.undo()
    monkeypatch.setattr(launch, "__version__", "99")
    with pytest.raises(InvalidRequest, match=r"the scheduler, .* has madrpc .*madrpc\[dask\]==99"):
        deploy(dask, script)


def test_without_the_extra_a_sentence_says_what_to_install() -> None:
    code = "import sys; sys.modules['distributed'] = None; import madrpc.dask"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment()
    )
    assert "pip install 'madrpc[dask]'" in done.stderr.splitlines()[-1]


def test_madrpc_alone_does_not_load_dask() -> None:
    code = "import sys, madrpc; sys.exit('distributed' in sys.modules or 'dask' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment()).returncode == 0


def test_the_example() -> None:
    require_distributed()
    done = subprocess.run(
        [sys.executable, EXAMPLES / "dask_pi.py", "--calls", "4", "--samples", "1000"],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"4000 samples on 1 hosts: pi is about 3\.\d+\n", done.stdout)
