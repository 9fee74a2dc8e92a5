"""Jobs that are sent to busy workers: each runs once, and none waits behind a long one."""

from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from madrpc import Client
from madrpc.node.claims import Claimant, Claims
from tests.servers import Servers, poll_until

SCRIPT = """
madrpc.register("tiny", ({n, log}) => {
  if (log) console.log("ran " + n);
  return n;
});
madrpc.register("spin", ({ms}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return ms;
});
"""


@pytest.fixture
def claims() -> Iterator[Claims]:
    made = Claims()
    yield made
    made.close()


def test_the_worker_starts_what_is_offered_in_order(claims: Claims) -> None:
    worker = Claimant(claims.read_fd)
    for id in (1, 2, 3):
        claims.offer(id)
    assert [worker.may_start(id) for id in (1, 2, 3)] == [True] * 3
    assert not worker.may_start(4)
    assert claims.take_back() == 0


def test_what_is_taken_back_is_not_started(claims: Claims) -> None:
    worker = Claimant(claims.read_fd)
    for id in (1, 2, 3):
        claims.offer(id)
    assert worker.may_start(1)
    assert claims.take_back() == 2
    claims.offer(4)
    assert [worker.may_start(id) for id in (2, 3, 4)] == [False, False, True]
    assert not worker.may_start(5)


def _run(worker: Claimant, ids: list[int], results: object) -> None:
    results.send([id for id in ids if worker.may_start(id)])  # type: ignore[attr-defined]


def test_no_job_is_both_started_and_taken_back(claims: Claims) -> None:
    context = multiprocessing.get_context("spawn")
    ids = list(range(1, 10_001))
    for id in ids:
        claims.offer(id)
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(Claimant(claims.read_fd), ids, theirs))
    process.start()
    taken = poll_until(claims.take_back, "the pipe holds numbers")
    while count := claims.take_back():
        taken += count
    started = ours.recv()
    process.join()
    ours.close()
    theirs.close()
    assert started + ids[len(started) :] == ids
    assert len(started) + taken + claims.take_back() == len(ids)


def test_every_call_runs_once_and_tiny_ones_do_not_wait_for_long_ones(servers: Servers) -> None:
    node = servers.node("-s", servers.script(SCRIPT), "--pool-size", 4, "--isolation", "context")
    rng = random.Random(5)
    with Client(node.address, timeout=30) as client:
        for n in range(100):
            client.call("tiny", {"n": -n, "log": False})
        answers = {}
        for n in range(2_000):
            if n % 200 == 100:
                client.submit("spin", {"ms": rng.choice([8, 20, 60])})
            answers[n] = client.submit("tiny", {"n": n, "log": True})
        assert [answers[n].result() for n in answers] == list(answers)
        long = client.submit("spin", {"ms": 3_000})
        waiting = [client.submit("tiny", {"n": n, "log": False}) for n in range(400)]
        assert [answer.result() for answer in waiting] == list(range(400))
        assert not long.done()
    lines = node.log.read_text().splitlines()
    ran = Counter(line.split("ran ")[1] for line in lines if "ran " in line)
    assert ran == Counter(map(str, range(2_000)))
