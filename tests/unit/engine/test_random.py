"""Math.random: independent between calls, reproducible with a seed, uniform.

Statistical tests with fixed seeds give the same numbers every time. The one that draws from the
system fails by chance once in a million runs.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from madrpc.engine.interface import Call
from tests.unit.engine.drive import engine_for, engine_of, run

FIRST = "madrpc.register('f', () => Math.random());"
SOME = "madrpc.register('f', ({n}) => Array.from({length: n}, Math.random));"
CALLS = 20_000
STREAM_OF_7 = [0.7683092747079856, 0.969488877981973, 0.8665623061753549]
#: A normal variable is beyond this with a probability of 1e-6.
FAR = 4.9


def first_values(seeds: Sequence[str | None]) -> list[float]:
    engine = engine_of(FIRST)
    values = []
    for seed in seeds:
        execution = engine.execution(Call("f", "{}", 5.0, seed))
        values.append(float(execution.start().result))  # type: ignore[union-attr]
        execution.close()
    return values


def chi_square_z(counts: Sequence[int], expected: float) -> float:
    """How far the counts are from even ones, as a standard normal variable (Wilson, Hilferty)."""
    freedom = len(counts) - 1
    square = sum((count - expected) ** 2 for count in counts) / expected
    spread = 2 / (9 * freedom)
    return float(((square / freedom) ** (1 / 3) - (1 - spread)) / math.sqrt(spread))


def bins_z(values: Sequence[float], bins: int = 100) -> float:
    counts = Counter(int(value * bins) for value in values)
    return chi_square_z([counts[i] for i in range(bins)], len(values) / bins)


def correlation_z(values: Sequence[float], lag: int) -> float:
    """Correlation of each value with the one ``lag`` later, as a standard normal variable."""
    pairs = list(zip(values, values[lag:], strict=False))
    covariance = sum((a - 0.5) * (b - 0.5) for a, b in pairs) / len(pairs)
    return covariance * 12 * math.sqrt(len(pairs))


@pytest.fixture(scope="module")
def drawn() -> list[float]:
    """The first value of each of many calls."""
    return first_values([None] * CALLS)


@pytest.mark.only("quickjs")
def test_no_two_calls_begin_alike(drawn: list[float]) -> None:
    assert len(set(drawn)) == CALLS


@pytest.mark.only("quickjs")
def test_first_values_of_calls_are_even_and_independent(drawn: list[float]) -> None:
    assert abs(bins_z(drawn)) < FAR
    assert all(abs(correlation_z(drawn, lag)) < FAR for lag in (1, 2, 3))


@pytest.mark.only("quickjs")
def test_first_values_of_seeds_in_a_row_are_even_and_independent() -> None:
    values = first_values([str(seed) for seed in range(CALLS)])
    assert len(set(values)) == CALLS
    assert abs(bins_z(values)) < 3
    assert all(abs(correlation_z(values, lag)) < 3.5 for lag in range(1, 6))


@pytest.mark.parametrize("seed", ["1", "2", "a text"])
def test_one_stream_is_even_and_independent(seed: str) -> None:
    values = run(engine_of(SOME), {"n": 100_000}, seed=seed).result
    assert min(values) > 0
    assert max(values) < 1
    assert len(set(values)) == len(values)
    assert abs(bins_z(values)) < 3
    assert all(abs(correlation_z(values, lag)) < 3.5 for lag in range(1, 9))
    # The bits below the first 32 are even too.
    assert abs(bins_z([value * 2**32 % 1 for value in values])) < 3


@pytest.mark.parametrize("lag", [1, 2, 3, 4])
def test_pairs_fill_the_square_evenly(lag: int) -> None:
    engine = engine_for(
        "const n = 64, counts = new Array(n * n).fill(0), last = [];"
        "for (let i = 0; i < 400000; i++) { const x = Math.random() * n | 0;"
        "  if (i >= args.lag) counts[last[i % args.lag] * n + x]++; last[i % args.lag] = x }"
        "return counts"
    )
    counts = run(engine, {"lag": lag}, seed="pairs").result
    assert abs(chi_square_z(counts, sum(counts) / len(counts))) < 3


@pytest.mark.only("quickjs")
def test_pi_comes_out_right_from_many_calls() -> None:
    engine = engine_for(
        "let inside = 0; for (let i = 0; i < 2000; i++) {"
        "  const x = Math.random(), y = Math.random(); if (x * x + y * y < 1) inside++ }"
        "return inside"
    )
    inside = [run(engine, seed=str(seed)).result for seed in range(300)]
    share, points = math.pi / 4, 2000
    deviation = math.sqrt(points * share * (1 - share))
    scores = [(count - points * share) / deviation for count in inside]
    assert abs(sum(scores)) / math.sqrt(len(scores)) < 3
    # Independent calls scatter as much as chance has them, no less and no more.
    assert 0.8 < sum(score**2 for score in scores) / len(scores) < 1.2


def expected_stream(seed: str, count: int) -> list[float]:
    """The stream in whole numbers: digits in units of 2**-33, the carry in ones."""
    drawn = hashlib.blake2b(seed.encode(), digest_size=48, person=b"madrpc seed 1").digest()
    words = [int.from_bytes(drawn[at : at + 4], "little") for at in (0, 4, 8, 12)]
    digits = [2 * word + 1 - 2**32 for word in words[:3]]
    carry = words[3] % 2091639 - 1045819
    stream = []
    for _ in range(count):
        total = 2091639 * digits.pop(0) + 2 * carry
        carry = (total + 2**32) >> 33
        digits.append(total - (carry << 33))
        stream.append(total / 2**33 * 4.780939731951832e-7 + 0.5)
    return stream


@pytest.mark.parametrize("seed", ["7", "", "é \U0001f600", "-9223372036854775808"])
def test_a_seed_gives_the_stream_that_is_written_down(seed: str) -> None:
    assert run(engine_of(SOME), {"n": 3000}, seed=seed).result == expected_stream(seed, 3000)


def test_the_stream_of_seed_7_never_changes() -> None:
    assert run(engine_of(SOME), {"n": 3}, seed="7").result == STREAM_OF_7


def test_a_seed_gives_the_same_on_every_engine_and_another_seed_another() -> None:
    one, two = engine_of(SOME), engine_of(f"// other text\n{SOME}")
    of = {seed: run(one, {"n": 5}, seed=seed).result for seed in ("7", "8", "07")}
    assert run(two, {"n": 5}, seed="7").result == of["7"]
    assert len({tuple(values) for values in of.values()}) == 3


def test_a_seed_covers_what_the_script_draws_while_it_loads() -> None:
    engine = engine_of("const id = Math.random(); madrpc.register('f', () => [id, Math.random()]);")
    engine.prepare()
    first, again = run(engine, seed="7").result, run(engine, seed="7").result
    assert first == again == expected_stream("7", 2)


def test_a_seeded_call_leaves_the_next_one_alone() -> None:
    engine = engine_of(SOME)
    seen: list[Any] = []
    for _ in range(3):
        engine.prepare()
        seen += [run(engine, {"n": 2}, seed="7").result, run(engine, {"n": 2}).result]
    assert seen[0] == seen[2] == seen[4]
    assert len({tuple(values) for values in seen}) == 4


def test_a_seed_does_nothing_where_nothing_is_random() -> None:
    engine = engine_of("madrpc.register('f', () => 1);")
    assert engine.prepare()
    assert run(engine, seed="7").result == 1
    assert engine.prepare(), "the spare context served the seeded call"


def test_random_is_a_function_like_the_native_one() -> None:
    engine = engine_for(
        "let refused = false; try { new Math.random() } catch { refused = true }"
        "const {enumerable, writable, configurable} ="
        "  Object.getOwnPropertyDescriptor(Math, 'random');"
        "return [Math.random.name, Math.random.length, refused, enumerable, writable, configurable]"
    )
    assert run(engine).result == ["random", 0, True, False, True, True]


def test_every_state_stays_exact_at_its_edges() -> None:
    """Extreme digits and carries: no result leaves (0, 1), and the arithmetic stays exact."""
    source = "(globalThis.make = RANDOM, 0)"
    from madrpc.engine import environment

    engine = engine_of(
        source.replace("RANDOM", environment._RANDOM)
        + ";madrpc.register('f', ({state}) => { make(...state);"
        "return Array.from({length: 6}, Math.random) });"
    )
    top, half = 2**32 - 1, 1045819
    for digits in [(top, top, top), (-top, -top, -top), (1, -1, 1), (top, -top, top)]:
        for carry in (half, -half, 0):
            state = [digit / 2**33 for digit in digits] + [carry]
            values = run(engine, {"state": state}).result
            left, held, expected = list(digits), carry, []
            for _ in range(6):
                total = 2091639 * left.pop(0) + 2 * held
                held = (total + 2**32) >> 33
                left.append(total - (held << 33))
                expected.append(total / 2**33 * 4.780939731951832e-7 + 0.5)
            assert values == expected
            assert min(values) > 0
            assert max(values) < 1
