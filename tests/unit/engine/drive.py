"""Runs functions on an engine to their end, with a sleep that takes no time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from madrpc.config import EngineLimits
from madrpc.engine.choice import load_engine
from madrpc.engine.interface import Call, Done, Engine, LogLine, Script, Waiting
from madrpc.errors import MadrpcError

LIMITS = EngineLimits(time_s=20.0)
#: The engine that this module makes; a fixture sets it.
engine_name = "quickjs"


def engine_from(scripts: Sequence[Script], limits: EngineLimits = LIMITS) -> Any:
    """The engine under test, with these scripts."""
    return load_engine(engine_name, limits)(scripts)


def engine_of(*sources: str, limits: EngineLimits = LIMITS) -> Engine:
    """An engine with scripts a.js, b.js and so on."""
    names = "abcdefgh"
    return engine_from(
        [Script(f"{names[i]}.js", source) for i, source in enumerate(sources)], limits
    )


def engine_for(body: str, **options: Any) -> Engine:
    """An engine whose function ``f`` has that body; its argument is ``args``."""
    return engine_of(f"madrpc.register('f', async (args) => {{ {body} }});", **options)


@dataclass
class Run:
    """How a call went: its result or its error, what it logged, how long each wait was."""

    result: Any = None
    error: MadrpcError | None = None
    logs: list[LogLine] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)


def run(engine: Engine, args: Any = None, *, method: str = "f", seed: str | None = None) -> Run:
    """One call to its end. Waiting for a timer takes no time; nested calls are not answered."""
    call = Call(method, json.dumps(args or {}), engine.limits.time_s, seed)
    execution = engine.execution(call)
    done = Run()
    try:
        step = execution.start()
        while isinstance(step, Waiting):
            assert step.wake_in_s is not None
            done.waits.append(step.wake_in_s)
            step = execution.wake()
        assert isinstance(step, Done)
        done.result = json.loads(step.result)
    except MadrpcError as error:
        done.error = error
    finally:
        done.logs = execution.logs()
        execution.close()
    return done


def value(body: str, args: Any = None, **options: Any) -> Any:
    """What a function with that body returns."""
    done = run(engine_for(body), args, **options)
    assert done.error is None, done.error
    return done.result
