"""What a sound Math.random costs: the Monte Carlo example with madrpc's and with the engine's own.

    python benchmarks/random_cost.py [--samples 400000] [--rounds 7]

Runs ``js_examples/monte_carlo_pi.js`` in one context in this process, no server, in turns with the
generator that a call gets and with the engine's. The engine's is fast, but two contexts made in the
same microsecond draw the same numbers from it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

import quickjs

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from madrpc.config import EngineLimits  # noqa: E402
from madrpc.engine.interface import Call, Done, Script  # noqa: E402
from madrpc.engine.quickjs import QuickJSEngine  # noqa: E402

_EXAMPLE = ROOT / "js_examples/monte_carlo_pi.js"
_METHOD = "monte_carlo_sample"
_LOOP = """
madrpc.register("monte_carlo_sample", ({samples}) => {
  let inside = 0;
  for (let n = 0; n < samples; n++) {
    const x = Math.random(), y = Math.random();
    if (x * x + y * y <= 1) inside++;
  }
  return {inside, total: samples};
});
"""


def own(source: str, samples: int) -> float:
    """Seconds with the generator of a call."""
    engine = QuickJSEngine([Script("pi.js", source)], EngineLimits())
    execution = engine.execution(Call(_METHOD, json.dumps({"samples": samples}), 300.0))
    began = time.perf_counter()
    step = execution.start()
    took_s = time.perf_counter() - began
    assert isinstance(step, Done)
    check(json.loads(step.result))
    execution.close()
    return took_s


def native(source: str, samples: int) -> float:
    """Seconds with the engine's generator."""
    context = quickjs.Context()
    context.eval(f"const f = {{}}; var madrpc = {{register: (n, g) => {{ f[n] = g }}}};\n{source}")
    began = time.perf_counter()
    result = context.eval(f"JSON.stringify(f.{_METHOD}({{samples: {samples}}}))")
    took_s = time.perf_counter() - began
    check(json.loads(result))
    return took_s


def check(result: dict[str, int]) -> None:
    """A wrong estimate would be no comparison."""
    assert abs(4 * result["inside"] / result["total"] - 3.14159) < 0.05, result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--samples", type=int, default=400_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    for name, source in (("shipped example", _EXAMPLE.read_text()), ("plain loop", _LOOP)):
        pairs = [
            (native(source, options.samples), own(source, options.samples))
            for _ in range(options.rounds)
        ]
        engine_s, own_s = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratios = [engine / ours for engine, ours in pairs]
        print(
            f"{name:16} engine's {engine_s * 1e3:6.1f} ms  madrpc's {own_s * 1e3:6.1f} ms  "
            f"speed {engine_s / own_s:.2f} of native ({min(ratios):.2f} to {max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
