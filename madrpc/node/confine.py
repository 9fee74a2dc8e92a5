"""What every worker process does to itself before it runs a script.

A worker must die with its node whatever the node's end was, must not react to the terminal's
Ctrl-C, and must not be able to gain privileges or leave core files.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys

__all__ = ["adopt", "confine"]

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_MAX_OPEN_FILES = 64


def confine(parent_pid: int) -> None:
    """Tie this process to its parent and take away what a script's runtime does not need."""
    # The node stops its workers itself; a Ctrl-C to the group must not race it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)
        # The parent may have died before the first prctl; the signal would then never come.
        if os.getppid() != parent_pid:
            os._exit(1)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, _MAX_OPEN_FILES)
    _prefer_for_oom_kill()


def adopt(parent_pid: int, keep: int) -> None:
    """Finish what ``confine`` did in a process forked from a confined one.

    Args:
        parent_pid: the process to die with.
        keep: the only descriptor besides the standard ones that stays open.
    """
    os.closerange(3, keep)
    os.closerange(keep + 1, _MAX_OPEN_FILES)
    if sys.platform == "linux":
        # A fork clears the parent-death signal; the other settings are inherited.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:
            os._exit(1)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(kind, (most, most))


def _prefer_for_oom_kill() -> None:
    """Let the kernel take a worker before the node when memory runs out."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")
    except OSError:
        pass  # not Linux, or a container that forbids it; the default score serves
