"""Two orchestrators behind HAProxy, as one address."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from pathlib import Path

from madrpc import Client
from tests.servers import Servers, give_up, poll_until

SCRIPT = """
madrpc.register("add", ({a, b}) => a + b);
madrpc.register("spin", ({ms, tag}) => { const end = Date.now() + ms; while (Date.now() < end);
  return tag; });
"""
CONFIG = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
frontend madrpc
    bind 127.0.0.1:{port}
    default_backend orchestrators
backend orchestrators
    balance leastconn
    option tcp-check
    default-server check inter 200ms fall 2 rise 1 on-marked-down shutdown-sessions
{servers}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_orchestrators_behind_haproxy(servers: Servers, tmp_path: Path) -> None:
    if shutil.which("haproxy") is None:
        give_up("haproxy is not installed")
    orchestrators = [servers.orchestrator() for _ in range(2)]
    flags = [word for server in orchestrators for word in ("--orchestrator", server.address)]
    script = servers.script(SCRIPT)
    nodes = [servers.node("-s", script, "--pool-size", 2, *flags) for _ in range(2)]
    for orchestrator in orchestrators:
        with Client(orchestrator.address) as client:
            poll_until(lambda c=client: len(c.info()["nodes"]) == len(nodes), "registered")
    port = free_port()
    lines = [f"    server o{n} {server.address}" for n, server in enumerate(orchestrators)]
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(port=port, servers="\n".join(lines)))
    proxy = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(config)])
    try:
        with Client(f"127.0.0.1:{port}", timeout=20) as client:
            poll_until(lambda: _answers(client), "the proxy is up")
            futures = [client.submit("spin", {"ms": 20, "tag": n}) for n in range(40)]
            orchestrators[0].send(signal.SIGKILL)
            more = client.map("add", [{"a": n, "b": 1} for n in range(300)])
            assert list(more) == list(range(1, 301))
            assert [future.result(20) for future in futures] == list(range(40))
            again = servers.orchestrator(words=("-b", orchestrators[0].address))
            with Client(again.address) as direct:
                poll_until(lambda: len(direct.info()["nodes"]) == len(nodes), "registered", 20)
            orchestrators[1].stop()
            poll_until(lambda: _answers(client), "the other one serves")
            assert client.call("add", {"a": 1, "b": 2}) == 3
    finally:
        proxy.terminate()
        proxy.wait(10)


def _answers(client: Client) -> bool:
    try:
        return bool(client.call("add", {"a": 1, "b": 2}, timeout=3) == 3)
    except Exception:
        return False
