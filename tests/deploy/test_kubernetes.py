"""The Kubernetes objects: kustomize builds them, the schemas accept them, and they fit together."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.commands import DEPLOY, parse
from tests.deploy.images import environment_of_image, steps
from tests.deploy.test_compose import require as require_module
from tests.servers import madrpc
from tests.system.test_manpages import require

#: The newest release that the package with the schemas knows, and the oldest with all kinds used.
RELEASES = ("1.25.0", "1.37.0")
SERVERS = ["madrpc-node", "madrpc-orchestrator"]
Object = dict[str, Any]


class Cluster:
    """Every object of the example overlay, which holds all of the base."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects

    def of_kind(self, kind: str) -> dict[str, Object]:
        return {o["metadata"]["name"]: o for o in self.objects if o["kind"] == kind}

    def pod_of(self, deployment: str) -> Object:
        pod: Object = self.of_kind("Deployment")[deployment]["spec"]["template"]
        return pod

    def container_of(self, deployment: str) -> Object:
        (container,) = self.pod_of(deployment)["spec"]["containers"]
        made: Object = container
        return made

    def selected(self, labels: dict[str, str]) -> list[str]:
        """Deployments whose pods have these labels."""
        return [
            name
            for name in self.of_kind("Deployment")
            if labels.items() <= self.pod_of(name)["metadata"]["labels"].items()
        ]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    require("kubectl")
    require_module("yaml")
    import yaml

    folder = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", folder)
    (folder / "overlays/example/token").write_text("a token\n")
    done = subprocess.run(
        ["kubectl", "kustomize", folder / "overlays/example"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    return Cluster(list(yaml.safe_load_all(done.stdout)))


def test_the_schemas_accept_every_object(cluster: Cluster) -> None:
    require_module("kubernetes_validate")
    import kubernetes_validate

    for thing in cluster.objects:
        for release in RELEASES:
            kubernetes_validate.validate(thing, release, strict=True)


def test_there_is_what_a_cluster_needs(cluster: Cluster) -> None:
    assert set(cluster.of_kind("Deployment")) == set(SERVERS)
    assert set(cluster.of_kind("Service")) == {"madrpc", "madrpc-nodes"}
    for kind in ("PodDisruptionBudget", "NetworkPolicy"):
        assert set(cluster.of_kind(kind)) == set(SERVERS), kind
    assert cluster.of_kind("Deployment")["madrpc-orchestrator"]["spec"]["replicas"] == 2
    (scaler,) = cluster.of_kind("HorizontalPodAutoscaler").values()
    assert scaler["spec"]["scaleTargetRef"]["name"] == "madrpc-node"
    assert "replicas" not in cluster.of_kind("Deployment")["madrpc-node"]["spec"]


@pytest.mark.parametrize("name", SERVERS)
def test_the_command_line_is_one_and_draining_has_the_time(
    cluster: Cluster, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    container, pod = cluster.container_of(name), cluster.pod_of(name)["spec"]
    own = {k: v for k, v in environment_of_image().items() if k.startswith("MADRPC_")}
    own |= {entry["name"]: entry["value"] for entry in container["env"]}
    options = parse(container["args"], monkeypatch, own)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"rpc": options.bind.port, "http": options.http.port}
    (_, pause) = container["lifecycle"]["preStop"]["exec"]["command"]
    assert pod["terminationGracePeriodSeconds"] > int(pause) + options.drain_timeout + 5
    assert pod["enableServiceLinks"] is False
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert options.auth_token_file == mounts["token"] + "/token"


@pytest.mark.parametrize("name", SERVERS)
def test_volumes_and_probes_name_what_is_there(cluster: Cluster, name: str) -> None:
    container, pod = cluster.container_of(name), cluster.pod_of(name)["spec"]
    ports = {port["name"] for port in container["ports"]}
    probes = {key: value["httpGet"] for key, value in container.items() if key.endswith("Probe")}
    assert probes["livenessProbe"]["path"] == "/livez"
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert {probe["port"] for probe in probes.values()} <= ports
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert "token" in cluster.of_kind("Secret")[volume["secret"]["secretName"]]["data"]
        else:
            assert volume["configMap"]["name"] in cluster.of_kind("ConfigMap")
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("name", SERVERS)
def test_pods_may_do_little(cluster: Cluster, name: str) -> None:
    container, pod = cluster.container_of(name), cluster.pod_of(name)["spec"]
    security = pod["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == dict(steps())["USER"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]["limits"]) == {"cpu", "memory"}


def test_selectors_find_their_pods(cluster: Cluster) -> None:
    for name in SERVERS:
        deployment = cluster.of_kind("Deployment")[name]["spec"]
        budget = cluster.of_kind("PodDisruptionBudget")[name]["spec"]
        policy = cluster.of_kind("NetworkPolicy")[name]["spec"]
        for selector in (deployment["selector"], budget["selector"], policy["podSelector"]):
            assert cluster.selected(selector["matchLabels"]) == [name]
    for service in cluster.of_kind("Service").values():
        (target,) = cluster.selected(service["spec"]["selector"])
        ports = {port["name"] for port in cluster.container_of(target)["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_servers_find_and_reach_each_other(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {name: parse(cluster.container_of(name)["args"], monkeypatch) for name in SERVERS}
    services = cluster.of_kind("Service")
    (source,) = options["madrpc-orchestrator"].nodes
    assert str(source) == "dns://madrpc-nodes:8080"
    assert services["madrpc-nodes"]["spec"]["clusterIP"] == "None"
    (orchestrator,) = options["madrpc-node"].orchestrator
    ports = {port["port"] for port in services[orchestrator.host]["spec"]["ports"]}
    assert orchestrator.port in ports
    assert ("madrpc-orchestrator", "madrpc-node") in set(ways(cluster, "ingress"))
    assert set(ways(cluster, "ingress")) == {
        (there, here) for here, there in ways(cluster, "egress")
    }


def ways(cluster: Cluster, direction: str) -> Iterator[tuple[str, str]]:
    """The servers on the other side of each rule, and the server that has it."""
    for name, policy in cluster.of_kind("NetworkPolicy").items():
        for rule in policy["spec"][direction]:
            for peer in rule.get("from" if direction == "ingress" else "to", ()):
                for other in cluster.selected(peer["podSelector"]["matchLabels"]):
                    yield other, name


def test_the_scripts_are_the_ones_that_are_served(cluster: Cluster, tmp_path: Path) -> None:
    (scripts,) = cluster.of_kind("ConfigMap").values()
    (named,) = (word for word in cluster.container_of("madrpc-node")["args"] if "--script" in word)
    assert {named.removeprefix("--script=/scripts/")} == set(scripts["data"])
    for name, source in scripts["data"].items():
        (tmp_path / name).write_text(source)
        assert madrpc("check", tmp_path / name).stdout.startswith("price(")


def test_the_base_names_its_script_too(monkeypatch: pytest.MonkeyPatch) -> None:
    base = DEPLOY / "kubernetes/base"
    names = {path.name for path in (base / "scripts").iterdir()}
    assert names == {"hello.js"}
    assert "--script=/scripts/hello.js" in (base / "node.yaml").read_text()
