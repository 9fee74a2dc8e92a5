from __future__ import annotations

import dataclasses

import pytest

from madrpc import config
from madrpc.address import Address
from madrpc.config import EngineLimits, ListenerConfig, NodeConfig, OrchestratorConfig, PoolConfig

LISTENER = ListenerConfig(Address("127.0.0.1", 0))
VALUES = [
    EngineLimits(),
    PoolConfig(size=1, queue_size=1),
    LISTENER,
    NodeConfig(("a.js",), LISTENER, PoolConfig(1, 1)),
    OrchestratorConfig((), LISTENER),
]


def test_each_hop_waits_a_little_longer_than_the_one_below_it():
    graces = [config.NODE_GRACE_S, config.ORCHESTRATOR_GRACE_S, config.CLIENT_GRACE_S]
    assert graces == sorted(set(graces))
    # Every table of deadlines may be 20 ms late, and promise 1 is the deadline + 0.5 s.
    assert graces[0] > 0.02
    assert graces[-1] + 0.05 + 0.02 < 0.5


def test_a_safe_integer_is_one_that_a_double_tells_from_its_neighbour():
    assert float(config.MAX_SAFE_INTEGER) + 1 == 2**53
    assert float(config.MAX_SAFE_INTEGER + 1) == float(config.MAX_SAFE_INTEGER + 2)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_settings_are_frozen(value):
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, None)


def test_the_default_frame_is_within_what_may_be_asked_for():
    assert config.DEFAULT_MAX_FRAME == 16 * 2**20
    assert config.DEFAULT_MAX_FRAME <= config.MAX_FRAME_CEILING < 2**32
