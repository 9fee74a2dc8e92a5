"""What every worker process does to itself before it runs a script.

A worker must die with its node whatever the node's end was, must not react to the terminal's
signals, and must not be able to gain privileges, take the machine's memory or leave files behind.
What it may ask of the kernel once its scripts are loaded is the business of the sandbox.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import sys
from collections.abc import Collection

from madrpc.config import EngineLimits

__all__ = [
    "adopt",
    "bound_address_space",
    "bound_data",
    "confine",
    "disarm_backstop",
    "set_backstop",
]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_MAX_OPEN_FILES = 64
_libc = ctypes.CDLL(None, use_errno=True)
#: Address space of a worker: the interpreter with its libraries takes about 200 MiB of it, and
#: values on their way in and out are held several times over. Memory that is only reserved counts,
#: so the bound is wide; it stops what the heap limit of the engine does not see.
_LEAST_ADDRESS_SPACE = 1024 * 1024 * 1024
#: What a worker may write to besides; as many isolates as it may hold take 450 MiB of it.
_LEAST_DATA = 512 * 1024 * 1024
_HEAPS = 4
_FRAMES = 16


def confine(parent_pid: int, keep: Collection[int]) -> None:
    """Tie this process to its parent and take away what a script's runtime does not need.

    Args:
        keep: the only descriptors besides the standard ones that stay open.
    """
    # One of them leads to a process that deletes shared memory by name for whoever asks.
    _close_all_but(keep, max(_MAX_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0]))
    # The node stops its workers itself, with SIGKILL. Ctrl-C goes to the whole group, and batch
    # systems send SIGTERM to every process of a job: the calls of a draining node go on.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _take_turns_as_usual()
    # A process that is not dumpable may not write this file of its own any more.
    _prefer_for_oom_kill()
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
        # The parent may have died before the first prctl; the signal would then never come.
        if os.getppid() != parent_pid:
            os._exit(1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)


def bound_address_space(limits: EngineLimits) -> None:
    """Bound the memory of this process by what it reserves."""
    _limit(
        resource.RLIMIT_AS,
        _LEAST_ADDRESS_SPACE + _HEAPS * limits.memory_bytes + _FRAMES * limits.result_bytes,
    )


def bound_data(limits: EngineLimits) -> None:
    """Bound the memory of this process by what it can write to, beyond what it has already.

    For an engine that reserves far more address space than there is memory, which is loaded.
    """
    _limit(
        resource.RLIMIT_DATA,
        _writable_bytes()
        + _LEAST_DATA
        + _HEAPS * limits.memory_bytes
        + _FRAMES * limits.result_bytes,
    )


def _writable_bytes() -> int:
    """What counts towards RLIMIT_DATA now."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[5]) * resource.getpagesize()
    except OSError:
        return 2**30  # not Linux; more than any engine takes


def set_backstop(seconds: float) -> None:
    """Have the kernel end this process in so many seconds.

    The node kills a worker that is late, but the node may be stopped or stuck itself. The signal is
    SIGALRM with its default action, which works while native code holds the interpreter.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)


def disarm_backstop() -> None:
    """Take ``set_backstop`` back."""
    signal.setitimer(signal.ITIMER_REAL, 0)


def adopt(parent_pid: int, keep: Collection[int]) -> None:
    """Finish what ``confine`` did in a process forked from a confined one.

    Args:
        parent_pid: the process to die with.
        keep: the only descriptors besides the standard ones that stay open.
    """
    _close_all_but(keep, _MAX_OPEN_FILES)
    if sys.platform == "linux":
        # A fork clears the parent-death signal; the other settings are inherited.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)


def _close_all_but(keep: Collection[int], most: int) -> None:
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, most)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _take_turns_as_usual() -> None:
    """The node is patient with its workers; what it is was inherited."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _prefer_for_oom_kill() -> None:
    """Let the kernel take a worker before the node when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass  # not Linux, or a container that forbids it; the default score serves
