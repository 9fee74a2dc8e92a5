"""A real Prometheus server scrapes both roles and answers queries about them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.guard import TOKEN
from tests.servers import Servers, give_up, poll_until
from tests.wire.http import rpc
from tests.wire.test_http import http_port, started

CONFIG = """
global: {{scrape_interval: 500ms, scrape_timeout: 400ms}}
scrape_configs:
  - job_name: madrpc
    static_configs: [{{targets: ["127.0.0.1:{node}", "127.0.0.1:{orchestrator}"]}}]
    authorization: {{credentials_file: {token}}}
"""


class Prometheus:
    """One server with its data in a folder of its own."""

    def __init__(self, program: str, folder: Path, config: str) -> None:
        path = folder / "prometheus.yml"
        path.write_text(config)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._log = (folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
            ],
            stdout=self._log,
            stderr=self._log,
        )

    def query(self, text: str) -> dict[str, float]:
        """The value for each scraped address; none while the server has no answer."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?query={urllib.parse.quote(text)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as reply:
                found: list[Any] = json.load(reply)["data"]["result"]
        except (urllib.error.URLError, OSError):
            return {}
        return {each["metric"]["instance"]: float(each["value"][1]) for each in found}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)
        self._log.close()


@pytest.fixture
def program() -> str:
    found = shutil.which("prometheus")
    if found is None:
        give_up("prometheus is not installed (Debian: prometheus)")
    return found


@pytest.fixture
def running(
    program: str, servers: Servers, tmp_path: Path
) -> Iterator[tuple[Prometheus, int, int]]:
    token = tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    guarded = ("--auth-token-file", token, "--http", "127.0.0.1:0")
    node = started(servers, "node", "--auth-token-file", token)
    behind = servers.orchestrator(node, words=guarded)
    ports = http_port(node), http_port(behind)
    config = CONFIG.format(node=ports[0], orchestrator=ports[1], token=token)
    prometheus = Prometheus(program, tmp_path, config)
    try:
        yield prometheus, *ports
    finally:
        prometheus.stop()


def test_it_scrapes_a_node_and_an_orchestrator(running: tuple[Prometheus, int, int]) -> None:
    prometheus, node, orchestrator = running
    right = f"Authorization: Bearer {TOKEN}"
    for _ in range(5):
        assert rpc(orchestrator, "add", {"a": 1, "b": 2}, right)["result"] == 3
    both = {f"127.0.0.1:{node}": 5.0, f"127.0.0.1:{orchestrator}": 5.0}
    asked = 'sum by (instance) (madrpc_calls_total{method="add",outcome="ok"})'
    poll_until(lambda: prometheus.query(asked) == both, "both are scraped")
    assert set(prometheus.query("up{job='madrpc'}").values()) == {1.0}
    p95 = prometheus.query(
        "histogram_quantile(0.95, sum by (instance, le) (madrpc_call_duration_seconds_bucket))"
    )
    assert set(p95) == set(both)
    assert all(0 < value < 60 for value in p95.values())
