"""The compose file: it follows the specification, and its commands make a cluster that scales."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client
from tests.deploy.commands import DEPLOY, known_variables, parse, text
from tests.deploy.images import environment_of_image, health_check
from tests.servers import (
    RunningServer,
    Servers,
    environment,
    give_up,
    madrpc,
    poll_until,
    servers_in,
)

TOKEN = "a token of the tests"


def require(module: str) -> None:
    """Skip where a module that only checks is missing; in CI that is a failure."""
    if importlib.util.find_spec(module) is None:
        give_up(f"{module} is not installed: pip install 'madrpc[checks]'")


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    """The file with its defaults put in and its references followed."""
    require("yaml")
    import yaml

    filled = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text("compose.yaml"))
    found: dict[str, Any] = yaml.safe_load(filled)
    return found


def test_it_follows_the_specification(composed: dict[str, Any]) -> None:
    require("compose_spec")
    import compose_spec
    import yaml

    read = compose_spec.PyCompose.from_yaml(yaml.safe_dump(composed))
    assert sorted(read.service_names()) == ["node", "orchestrator"]


def test_services_are_confined_and_have_time_to_drain(
    composed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for service in composed["services"].values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert set(service["environment"]) <= known_variables()
        options = parse(service["command"], monkeypatch, service["environment"])
        assert int(service["stop_grace_period"].removesuffix("s")) > options.drain_timeout + 5
        (secret,) = service["secrets"]
        assert options.auth_token_file == f"/run/secrets/{secret}"
        assert secret in composed["secrets"]
        assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert "container_name" not in composed["services"]["node"]
    assert "ports" not in composed["services"]["node"]


class Cluster:
    """The services as processes on loopback, each with the command that the file has for it."""

    def __init__(self, composed: dict[str, Any], servers: Servers) -> None:
        self._services = composed["services"]
        self._servers = servers
        self._token = servers.folder / "token"
        self._token.write_text(f"{TOKEN}\n")
        self.orchestrator = self._start("orchestrator")

    def node(self) -> RunningServer:
        return self._start("node")

    def environment(self, service: str) -> dict[str, str]:
        settings = {**environment_of_image(), **self._services[service]["environment"]}
        own = {k: self._here(v) for k, v in settings.items() if k.startswith("MADRPC_")}
        return environment(**own, MADRPC_POOL_SIZE="1")

    def _start(self, service: str) -> RunningServer:
        words = map(self._here, self._services[service]["command"])
        return self._servers.start(*words, env=self.environment(service))

    def _here(self, word: str) -> str:
        word = word.replace("/run/secrets/token", str(self._token))
        word = word.replace("/scripts", str(DEPLOY.parent / "js_examples"))
        if "orchestrator:8080" in word:
            return word.replace("orchestrator:8080", self.orchestrator.address)
        return re.sub(r"0\.0\.0\.0:\d+", "127.0.0.1:0", word)


@pytest.fixture
def cluster(composed: dict[str, Any], tmp_path: Path) -> Iterator[Cluster]:
    with servers_in(tmp_path) as servers:
        yield Cluster(composed, servers)


def test_it_scales_while_it_is_called(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.servers.environment", lambda: cluster.environment("orchestrator"))
    address = cluster.orchestrator.address
    probe = [word.replace("127.0.0.1:8080", address) for word in health_check()[1:]]
    assert (madrpc(*probe).returncode, madrpc("health", address).returncode) == (0, 3)
    first = cluster.node()
    with Client(address, token=TOKEN) as client:
        poll_until(lambda: len(client.info()["nodes"]) == 1, "the first node registered")
        calls = client.map("monte_carlo_sample", ({"samples": 1000} for _ in range(2000)))
        done = [next(calls)]
        second = cluster.node()
        done += [next(calls) for _ in range(100)]
        assert first.stop() == 0
        done += calls
        assert len(done) == 2000
        (left,) = client.info()["nodes"]
        assert left["address"] == second.address
    assert json.loads(madrpc("info", address, "--json").stdout)["state"] == "up"
