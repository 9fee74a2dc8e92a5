"""Stories about the job table, the balancer and ejected nodes, told in tests/scenarios/*.txt.

A story is made of blocks: commands, a line of four dashes, what they lead to, and an empty line.
Lines that begin with # are comments. The first word of a file's name says which table it is about.
``REWRITE_SCENARIOS=1 pytest tests/unit/test_scenarios.py`` writes down what really happens; read
the difference before it is committed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from madrpc.config import PoolConfig
from madrpc.errors import MadrpcError
from madrpc.policy.balancer import Balance, Balancer, NodeState
from madrpc.policy.job import Action, Assign, Drop, Job, Kill, Requeued, Retire, Wake
from madrpc.policy.jobs import JobTable
from madrpc.policy.outlier import Outlier

FOLDER = Path(__file__).parent.parent / "scenarios"
DASHES = "----"
#: The stories count from 0; the table's clock has been running for a while.
EPOCH_S = 1000.0


class Story:
    """Takes commands by the names of its methods; each says what it led to, line by line."""

    def run(self, command: str) -> Iterator[str]:
        name, *words = command.split()
        settings = {k: v for k, _, v in (word.partition("=") for word in words if "=" in word)}
        names = [word for word in words if "=" not in word]
        return getattr(self, f"do_{name.replace('-', '_')}")(*names, **settings)


class JobStory(Story):
    def __init__(self) -> None:
        self.now = 0.0
        self.jobs: dict[str, Job] = {}

    @property
    def at(self) -> float:
        return EPOCH_S + self.now

    def do_table(self, *kind, workers, queue, spare="0", bytes="1000", limit="1", grace="0.25"):
        """[single-use] workers=N queue=N [spare=N] [bytes=N] [limit=S] [grace=S]: idle workers"""
        config = PoolConfig(int(workers), int(queue), int(bytes), float(grace))
        self.table = JobTable(config, float(limit), single_use="single-use" in kind)
        for _ in range(int(workers) + int(spare)):
            self.table.slot_ready(self.table.add_slot(), self.at)
        yield from ()

    def do_submit(self, name, *kind, within=None, bytes="10"):
        """NAME [nested] [within=S] [bytes=N]: a call, with that many seconds until its deadline"""
        deadline = None if within is None else self.at + float(within)
        self.jobs[name] = Job(name, b"x" * int(bytes), deadline, None, nested="nested" in kind)
        return self.told(self.table.submit(self.jobs[name], self.at))

    def do_park(self, worker):
        """WORKER: its job waits for something"""
        return self.told(self.table.park(self.table.slots[int(worker)], self.at))

    def do_wake(self, name, answer):
        """NAME ANSWER: something that the job waits for has come"""
        return self.told(self.table.wake(self.jobs[name], answer, self.at))

    def do_worn(self, worker):
        """WORKER: it asks to be replaced"""
        self.table.slots[int(worker)].worn = True
        yield from ()

    def do_finish(self, worker):
        """WORKER: it answered its job"""
        slot = self.table.slots[int(worker)]
        assert slot.job is not None, f"worker {worker} has no job"
        return self.told(self.table.finish(slot, self.at))

    def do_cancel(self, name):
        """NAME: its caller gives it up"""
        return self.told(self.table.cancel(self.jobs[name], self.at))

    def do_lost(self, worker, *, signal="9"):
        """WORKER [signal=N]: its process is gone"""
        slot = self.table.slots[int(worker)]
        return self.told(self.table.slot_lost(slot, self.at, f"signal {signal}", int(signal)))

    def do_start_worker(self):
        """a process is being started"""
        yield f"worker {self.table.add_slot().id} is starting"

    def do_ready(self, worker):
        """WORKER: it has loaded the scripts"""
        return self.told(self.table.slot_ready(self.table.slots[int(worker)], self.at))

    def do_wait(self, seconds):
        """SECONDS: time passes, and the table looks at its deadlines"""
        self.now += float(seconds)
        return self.told(self.table.tick(self.at))

    def do_show(self):
        """what is where"""
        waiting = [job.method for job in self.table.waiting]
        yield f"{self.now:.2f} s, waiting: {' '.join(waiting) or '-'}"
        for slot in self.table.slots.values():
            names = [slot.job.method] if slot.job else []
            names += [f"({job.method} parked)" for job in slot.parked]
            yield f"  worker {slot.id} {slot.state.value} {' '.join(names)}"

    def told(self, actions: list[Action]) -> Iterator[str]:
        for action in actions:
            if isinstance(action, Assign):
                yield f"worker {action.slot.id} runs {action.job.method}"
            elif isinstance(action, Wake):
                yield f"worker {action.slot.id} goes on with {action.job.method}: {action.answer}"
            elif isinstance(action, Drop):
                yield f"worker {action.slot.id} drops {action.job.method}"
            elif isinstance(action, Retire):
                yield f"worker {action.slot.id} may go"
            elif isinstance(action, Kill):
                yield f"worker {action.slot.id} is killed: {action.reason}"
            elif isinstance(action, Requeued):
                yield f"{action.job.method} is run again"
            else:
                yield f"{action.job.method} fails: {action.error.name}: {action.error.message}"


class BalancerStory(Story):
    def __init__(self) -> None:
        self.balancer = Balancer()

    def do_balance(self, name):
        """NAME: how calls are shared out"""
        self.balancer = Balancer(Balance(name))
        yield from ()

    def do_node(self, *addresses):
        """ADDRESS...: nodes to connect to"""
        for address in addresses:
            self.balancer.add(address)
        yield from ()

    def do_up(self, address, *methods, workers="1"):
        """ADDRESS METHOD... [workers=N]: it answered and has these methods"""
        self.balancer.node_up(self.balancer.add(address), methods, int(workers))
        yield from ()

    def do_suspect(self, address):
        """ADDRESS: it is late with its health probe"""
        self.balancer.node_down(self.balancer.add(address), "is late", NodeState.SUSPECT)
        yield from ()

    def do_remove(self, address):
        """ADDRESS: no source names it any more"""
        self.balancer.remove(self.balancer.add(address))
        yield from ()

    def do_call(self, method, *, times="1"):
        """METHOD [times=N]: that many calls are sent, and not answered"""
        sent = []
        for _ in range(int(times)):
            node = self.balancer.pick(method)
            self.balancer.sent(node)
            sent.append(node.address)
        yield " ".join(sent)

    def do_answer(self, address, *, times="1"):
        """ADDRESS [times=N]: that many of its calls are answered"""
        for _ in range(int(times)):
            self.balancer.done(self.balancer.add(address))
        yield from ()

    def do_down(self, address, *reason):
        """ADDRESS REASON: it cannot be reached"""
        self.balancer.node_down(self.balancer.add(address), " ".join(reason))
        yield from ()

    def do_drain(self, address):
        """ADDRESS: it said that it is shutting down"""
        self.balancer.node_down(self.balancer.add(address), "is draining", NodeState.DRAINING)
        yield from ()

    def do_pick(self, method, *, times="1", avoid=""):
        """METHOD [times=N] [avoid=ADDRESS,...]: where that many calls go"""
        nodes = [self.balancer.add(address) for address in avoid.split(",") if address]
        try:
            picked = [self.balancer.pick(method, nodes).address for _ in range(int(times))]
        except MadrpcError as error:
            yield f"{error.name}: {error.message}"
        else:
            yield " ".join(picked)

    def do_show(self):
        """what is known"""
        for node in self.balancer.nodes:
            yield f"{node.address} {node.state.value}: {' '.join(sorted(node.methods))}"
        yield f"methods: {' '.join(self.balancer.methods)}"


class EjectionStory(BalancerStory):
    """Nodes that fail, as the orchestrator treats them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = EPOCH_S
        self.outliers: dict[str, Outlier] = {}

    def do_fail(self, address, *, times="1"):
        """ADDRESS [times=N]: the transport to it fails that often"""
        outlier = self.outliers.setdefault(address, Outlier())
        node = self.balancer.add(address)
        for _ in range(int(times)):
            outlier.failed(self.now)
        if not outlier.is_due:
            yield f"{address} stays, {outlier.failures} failures"
        elif not self.balancer.may_spare(node):
            yield f"{address} cannot be spared"
        else:
            yield from self.eject(address)

    def do_succeed(self, address):
        """ADDRESS: it answers a call"""
        self.outliers[address].succeeded()
        yield from ()

    def do_wait(self, seconds):
        """SECONDS: time passes"""
        self.now += float(seconds)
        yield from ()

    def do_trial(self, address, outcome):
        """ADDRESS passed|failed: a probe of it, if its term is over"""
        outlier = self.outliers[address]
        node = self.balancer.add(address)
        if not outlier.is_served(self.now):
            yield f"{address} is not tried yet"
        elif outcome == "passed":
            outlier.readmit(self.now)
            self.balancer.node_up(node, node.methods)
            yield f"{address} is back"
        else:
            yield from self.eject(address)

    def eject(self, address):
        term_s = self.outliers[address].put_out(self.now)
        node = self.balancer.add(address)
        self.balancer.node_down(node, "failed", NodeState.EJECTED)
        yield f"{address} is out for {term_s:g} s"


STORIES: dict[str, Callable[[], Story]] = {
    "jobs": JobStory,
    "balancer": BalancerStory,
    "ejection": EjectionStory,
}


def as_it_happens(story: Story, text: str) -> str:
    """The text with what its commands really lead to."""
    lines: list[str] = []
    commands: list[str] = []
    is_outcome = False
    for line in [*text.splitlines(), ""]:
        if line == DASHES:
            happened = (found.rstrip() for command in commands for found in story.run(command))
            lines += [line, *happened]
            commands, is_outcome = [], True
        elif not line:
            assert not commands, f"no {DASHES} after {commands}"
            lines.append(line)
            is_outcome = False
        elif not is_outcome:
            lines.append(line)
            commands += [line] if not line.startswith("#") else []
    return "\n".join(lines).rstrip("\n") + "\n"


def story_for(path: Path) -> Story:
    return STORIES[re.match(r"[a-z]+", path.name)[0]]()


SCENARIOS = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_the_story_goes_as_written(path):
    written = path.read_text(encoding="utf-8")
    happened = as_it_happens(story_for(path), written)
    if os.environ.get("REWRITE_SCENARIOS"):
        path.write_text(happened, encoding="utf-8")
    else:
        assert happened == written


def test_every_table_has_stories():
    assert {type(story_for(path)) for path in SCENARIOS} == set(STORIES.values())


def test_a_wrong_outcome_is_seen():
    text = "node a\nup a f\npick f\n----\nb\n"
    assert as_it_happens(BalancerStory(), text) == text.replace("\nb\n", "\na\n")


def test_commands_without_an_outcome_are_refused():
    with pytest.raises(AssertionError, match="no ----"):
        as_it_happens(BalancerStory(), "node a\n")
