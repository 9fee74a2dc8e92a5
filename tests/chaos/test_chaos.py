"""Machines die, stop, vanish and come back under load, and no call is lost.

``MADRPC_CHAOS_S`` is how long; ``make chaos`` takes a minute, the default a few seconds.
"""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from madrpc import Client
from tests.chaos.load import SCRIPT, Load
from tests.chaos.machines import Faults, Machine, cluster
from tests.guard import Guard
from tests.servers import poll_until

SECONDS = float(os.environ.get("MADRPC_CHAOS_S", "10"))
TIMEOUT_S = 20.0


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "mix.js"
    path.write_text(SCRIPT)
    return path


def is_whole(orchestrator: Machine, nodes: int, **settings: Any) -> bool:
    """Whether all nodes are back and nothing is left of any call."""
    with Client(orchestrator.server.address, **settings) as client:
        if sum(node["state"] == "up" for node in client.info()["nodes"]) < nodes:
            return False
        found = client.metrics()
        quiet = found["in_flight"] == found["queued"] == found["workers"]["busy"] == 0
        return quiet and found["workers"]["ready"] == found["workers"]["size"]


@pytest.mark.parametrize("guarded", [False, True], ids=["open", "token and mTLS"])
def test_no_call_is_lost(
    tmp_path: Path, script: Path, capsys: pytest.CaptureFixture[str], guarded: bool
) -> None:
    seed = int(os.environ.get("MADRPC_CHAOS_SEED") or random.randrange(2**32))
    guard = Guard.made_in(tmp_path) if guarded else None
    words, settings = (guard.server_words, guard.client_settings) if guard else ((), {})
    with cluster(tmp_path, script, words=words) as groups:
        orchestrators = groups["orchestrator"]
        addresses = [machine.address for machine in orchestrators]
        load = Load(addresses, seed, TIMEOUT_S, **settings)
        faults = Faults(groups, seed)
        load.start()
        poll_until(lambda: load.ended > 100, "calls run before the first fault")
        try:
            faults.run(SECONDS)
        finally:
            faults.mend_all()
            load.stop()
        for machine in orchestrators:
            whole = partial(is_whole, machine, len(groups["node"]), **settings)
            poll_until(whole, "all is whole again", 60)
        with capsys.disabled():
            print(f"\nseed {seed}: calls {load.ended}: {dict(load.outcomes)}")
            print(f"  faults {sum(faults.counts.values())}: {dict(sorted(faults.counts.items()))}")
        assert load.wrong == []
        assert load.outcomes["right"] + load.outcomes["CallTimeout"] == load.ended
        assert load.outcomes["right"] > 100
