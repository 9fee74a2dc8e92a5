"""Addresses and command lines of a deployment."""

from __future__ import annotations

import pytest

from madrpc import InvalidArguments
from madrpc.address import Address

SECRET = "not to be shown"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("tcp://10.0.0.5:8786", "10.0.0.5"),
        ("tls://node7:8786", "node7"),
        ("tcp://[fe80::1]:8786", "fe80::1"),
        ("inproc://10.0.0.5/123/1", "127.0.0.1"),
    ],
)
def test_the_host_of_a_dask_address(address: str, host: str) -> None:
    from madrpc.dask.plan import host_of

    assert host_of(address) == host


@pytest.mark.parametrize(
    ("host", "bind"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("10.0.0.5", "0.0.0.0"), ("fe80::1", "::")],
)
def test_a_server_is_open_to_other_machines_only_if_it_must(host: str, bind: str) -> None:
    from madrpc.dask.plan import bind_host

    assert bind_host(host) == bind


def test_the_command_of_an_orchestrator() -> None:
    from madrpc.dask.plan import OrchestratorPlan

    plan = OrchestratorPlan("name", "owner", ("--balance", "least-busy"), 8080, SECRET)
    assert plan.command("tcp://10.0.0.5:8786") == [
        "orchestrator", "-b", "0.0.0.0:8080", "--balance", "least-busy",
    ]  # fmt: skip
    assert SECRET not in repr(plan)


def test_a_worker_tries_the_scheduler_it_knows_first() -> None:
    from madrpc.dask.plan import NodePlan

    known = (Address("10.0.0.5", 9), Address("gate", 9))
    plan = NodePlan("name", (), known, 9, (), 30.0, 10.0, SECRET)
    assert plan.addresses("tcp://inside:8786") == [Address("inside", 9), *known]
    assert plan.addresses("tcp://gate:8786") == [known[1], known[0]]
    assert SECRET not in repr(plan)
    elsewhere = NodePlan("name", (), known, None, (), 30.0, 10.0, None)
    assert elsewhere.addresses("tcp://inside:8786") == list(known)


def test_options_of_a_node() -> None:
    from madrpc.dask.plan import node_words

    assert node_words({"pool_size": 2, "time_limit": None}, ["--rate-limit", "5"]) == (
        "--pool-size", "2", "--rate-limit", "5",
    )  # fmt: skip
    for flag in ("-s", "--bind=:1", "--auth-token-file"):
        with pytest.raises(InvalidArguments, match=r"leave it out"):
            node_words({}, [flag])


def test_who_lacks_madrpc_is_named() -> None:
    from madrpc import InvalidRequest
    from madrpc.dask.launch import _check_versions
    from madrpc.version import __version__

    _check_versions({"the scheduler": __version__})
    missing = {f"worker {n}": ModuleNotFoundError("No module named 'madrpc'") for n in range(5)}
    with pytest.raises(InvalidRequest, match=r"worker 0, worker 1, worker 2 and 2 more"):
        _check_versions({"the scheduler": __version__, **missing})
    with pytest.raises(InvalidRequest, match=r"the scheduler cannot load madrpc \(refused\)"):
        _check_versions({"the scheduler": ValueError("refused")})


def test_an_orchestrator_that_cannot_be_reached_is_named() -> None:
    from madrpc import ConnectionFailed
    from madrpc.dask.keeper import first_reachable

    with pytest.raises(ConnectionFailed, match=r"at no\.invalid:1; open the port"):
        first_reachable([Address("no.invalid", 1)])
