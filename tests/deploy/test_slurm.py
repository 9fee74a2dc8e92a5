"""The batch template, with programs that stand in for Slurm's: it serves, drains and tidies up.

It was run under a real Slurm by hand; docs/deploying.md tells how and what came of it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from madrpc import Client
from tests.deploy.commands import DEPLOY
from tests.servers import environment, poll_until, runs

TEMPLATE = DEPLOY / "slurm" / "madrpc.sbatch"
SCRIPT = """
madrpc.register("slow", ({ms}) => {
  const end = Date.now() + ms;
  while (Date.now() < end);
  return 7;
});
"""
#: Starts the command as a step and waits for it; keeps its process group for scancel.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do shift; done
set -m
"$@" &
echo $! >"$STEPS/$SLURM_JOB_ID.0"
wait $!
"""
#: As the real one: every process of the step gets the signal, workers too.
SCANCEL = """#!/bin/bash
[[ $1 == --signal=TERM ]] && kill -TERM -- "-$(<"$STEPS/$2")"
"""


class Job:
    """One run of the template."""

    def __init__(self, folder: Path, *program: str) -> None:
        self.folder = folder
        (folder / "script.js").write_text(SCRIPT)
        for name, source in (("srun", SRUN), ("scancel", SCANCEL)):
            (folder / name).write_text(source)
            (folder / name).chmod(0o755)
        madrpc = folder / "madrpc"
        madrpc.write_text(f'#!/bin/sh\nexec {sys.executable} -m madrpc "$@"\n')
        madrpc.chmod(0o755)
        env = environment(
            PATH=f"{folder}:{os.environ['PATH']}",
            STEPS=str(folder),
            SLURM_JOB_ID="17",
            SLURMD_NODENAME="127.0.0.1",
            MADRPC_BIND="127.0.0.1:0",
            MADRPC_POOL_SIZE="1",
        )
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                ["bash", TEMPLATE, folder / "script.js", *program],
                env=env,
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def shared(self) -> Path:
        return self.folder / "madrpc-job-17"

    def wait_for(self, words: str) -> str:
        poll_until(lambda: words in self.output.read_text(), words)
        return self.output.read_text()

    def processes(self) -> list[psutil.Process]:
        """Every process of the job."""
        return [self._itself(), *self._itself().children(recursive=True)]

    def _itself(self) -> psutil.Process:
        return psutil.Process(self.process.pid)

    def end(self) -> None:
        for process in self.processes() if self.process.poll() is None else ():
            process.kill()
        self.process.wait(10)


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[list[Job]]:
    made: list[Job] = []
    yield made
    for job in made:
        job.end()


def test_the_template_is_a_script_with_options_for_slurm() -> None:
    subprocess.run(["bash", "-n", TEMPLATE], check=True)
    options = [line for line in TEMPLATE.read_text().splitlines() if line.startswith("#SBATCH ")]
    assert "#SBATCH --signal=B:TERM@60" in options


def test_a_job_ends_with_its_program(jobs: list[Job], tmp_path: Path) -> None:
    program = 'madrpc call "$MADRPC_ADDRESS" slow ms=1; exit 5'
    jobs.append(Job(tmp_path, "bash", "-c", program))
    status = jobs[0].process.wait(60)
    assert status == 5, jobs[0].output.read_text()
    lines = jobs[0].output.read_text().splitlines()
    assert "7" in lines
    assert sum("draining: accepted calls may finish" in line for line in lines) == 2
    assert not jobs[0].shared.exists()


def test_a_job_whose_time_is_over_answers_what_it_has(jobs: list[Job], tmp_path: Path) -> None:
    job = Job(tmp_path)
    jobs.append(job)
    output = job.wait_for(" is up")
    address = output.partition("orchestrator at ")[2].partition(",")[0]
    token = (job.shared / "token").read_text().strip()
    assert len(token) == 64
    assert job.shared.stat().st_mode & 0o77 == 0
    with Client(address, token=token) as client:
        call = client.submit("slow", {"ms": 1500})
        poll_until(lambda: client.metrics()["in_flight"] >= 1, "the call has begun")
        processes = job.processes()
        # What --signal=B:TERM sends, and to whom.
        os.kill(job.process.pid, signal.SIGTERM)
        assert call.result() == 7
    assert job.process.wait(30) == 0, job.output.read_text()
    assert not any(map(runs, processes))
    assert not job.shared.exists()
    assert "WARNING worker" not in job.output.read_text()
