"""Four nodes, started as the units start them, come and go while a map runs: no call is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client
from tests.deploy.test_systemd import TOKEN, words_of
from tests.servers import RunningServer, Servers, environment, give_up, poll_until, servers_in

NAME = "nodes.madrpc.test"
RESOLVER = "127.0.0.77"
HOSTS = ("127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5")
#: Becomes the command with another file of name servers, which nobody else sees.
WITH_NAME_SERVER = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount --bind "$0" /etc/resolv.conf; exec "$@"',
)


class Load:
    """A map that runs until it is told to stop; every result is checked."""

    def __init__(self, address: str) -> None:
        self._stop = threading.Event()
        self._address = address
        self._thread = threading.Thread(target=self._run)
        self.done = 0
        self.failure: Exception | None = None

    def __enter__(self) -> Load:
        self._thread.start()
        self.goes_on(200)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(60)
        assert self.failure is None, self.failure
        assert not self._thread.is_alive()

    def goes_on(self, calls: int = 500) -> None:
        """Wait until so many more calls have been answered."""
        enough = self.done + calls
        poll_until(lambda: self.failure or self.done >= enough, f"{calls} more calls")

    def _items(self) -> Iterator[dict[str, int]]:
        n = 0
        while not self._stop.is_set():
            yield {"n": n}
            n += 1

    def _run(self) -> None:
        try:
            with Client(self._address, token=TOKEN) as client:
                for n, result in enumerate(client.map("echo", self._items(), concurrency=16)):
                    assert result == n
                    self.done += 1
        except Exception as error:
            self.failure = error


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """What the machines have in /etc/madrpc."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "pi.js").write_text('madrpc.register("echo", ({n}) => n);\n')
    return tmp_path


@pytest.fixture
def machines(etc: Path) -> Iterator[Servers]:
    with servers_in(etc) as servers:
        yield servers


def node(machines: Servers, etc: Path, bind: str, **variables: str) -> RunningServer:
    words = words_of("madrpc-node@.service", etc, "pi")
    env = environment(MADRPC_BIND=bind, MADRPC_POOL_SIZE="1", **variables)
    return machines.start(*words, env=env)


def orchestrator(machines: Servers, etc: Path, *sources: str, **settings: Any) -> RunningServer:
    env = environment(MADRPC_BIND="127.0.0.1:0", MADRPC_NODE=",".join(sources))
    words = words_of("madrpc-orchestrator.service", etc)
    return machines.start(*words, env=env, **settings)


def nodes_up(client: Client, count: int) -> Callable[[], bool]:
    return lambda: [row["state"] for row in client.info()["nodes"]].count("up") == count


def test_nodes_that_register_come_and_go(machines: Servers, etc: Path) -> None:
    front = orchestrator(machines, etc)

    def join() -> RunningServer:
        return node(machines, etc, "127.0.0.1:0", MADRPC_ORCHESTRATOR=front.address)

    here = [join(), join()]
    with Client(front.address, token=TOKEN) as client, Load(front.address) as load:
        here += [join(), join()]
        poll_until(nodes_up(client, 4), "four nodes are up")
        load.goes_on()
        assert here.pop(0).stop() == 0
        load.goes_on()
        # One that says no goodbye.
        here.pop(0).stop(signal.SIGKILL)
        load.goes_on()
        here.append(join())
        poll_until(nodes_up(client, 3), "the new one is up")
        load.goes_on()


class Names:
    """A real DNS server whose one name has the addresses it is told."""

    def __init__(self, folder: Path) -> None:
        self.hosts = folder / "hosts"
        self.resolv = folder / "resolv.conf"
        self.resolv.write_text(f"nameserver {RESOLVER}\noptions timeout:1 attempts:5\n")
        self.say()
        words = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--bind-interfaces"]
        words += [f"--listen-address={RESOLVER}", f"--addn-hosts={self.hosts}", "--conf-file="]
        words += ["--local-ttl=0", "--pid-file=", "--user=root", f"--local=/{NAME}/"]
        self.process = subprocess.Popen(["dnsmasq", *words], stderr=subprocess.DEVNULL)

    def say(self, *addresses: str) -> None:
        """Change what the name stands for."""
        lines = "".join(f"{address} {NAME}\n" for address in addresses)
        self.hosts.with_suffix(".new").write_text(lines)
        self.hosts.with_suffix(".new").replace(self.hosts)
        if hasattr(self, "process"):
            self.process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Names]:
    if os.geteuid() != 0:
        give_up("only root may give a process other name servers")
    for program in ("dnsmasq", "unshare"):
        if shutil.which(program) is None:
            give_up(f"{program} is not installed")
    allowed = subprocess.run([*WITH_NAME_SERVER, "/dev/null", "true"], capture_output=True)
    if allowed.returncode != 0:
        give_up("this kernel allows no mount namespaces")
    made = Names(tmp_path)
    yield made
    made.close()


def test_nodes_that_a_name_stands_for_come_and_go(
    machines: Servers, etc: Path, names: Names
) -> None:
    first = node(machines, etc, f"{HOSTS[0]}:0")
    port = first.port
    here = {HOSTS[0]: first, HOSTS[1]: node(machines, etc, f"{HOSTS[1]}:{port}")}
    names.say(*here)
    launcher = (*WITH_NAME_SERVER, str(names.resolv))
    front = orchestrator(machines, etc, f"dns://{NAME}:{port}", launcher=launcher)
    with Client(front.address, token=TOKEN) as client:
        poll_until(nodes_up(client, 2), "both nodes of the name are up")
        with Load(front.address) as load:
            for host in HOSTS[2:]:
                here[host] = node(machines, etc, f"{host}:{port}")
            names.say(*here)
            poll_until(nodes_up(client, 4), "four nodes are up")
            load.goes_on()
            # As a rollout does it: out of the name first, then stopped.
            leaving = here.pop(HOSTS[0])
            names.say(*here)
            poll_until(nodes_up(client, 3), "one has left the name")
            load.goes_on()
            assert leaving.stop() == 0
            # And the other way round, for names lag behind.
            here.pop(HOSTS[1]).stop(signal.SIGKILL)
            load.goes_on()
            names.say(*here)
            load.goes_on()
        assert nodes_up(client, 2)()
