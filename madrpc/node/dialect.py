"""What messages mean between a node and its worker processes.

The messages are those of the wire protocol with meanings of their own, since both ends are ours::

    node -> worker   request  [0, job, ms left, method, args, meta]   run this
                     response [1, n, error, result]                   answer of nested call n
                     cancel   [2, job]                                free the parked job
    worker -> node   response [1, job, error, result]                 the job is done
                     request  [0, n, job, method, args, meta]         the job calls a function
                     cancel   [2, job]                                the job waits; I am free

A worker starts a job only if it gets the job's number out of a pipe (``madrpc.node.claims``), so
that jobs sent ahead of time can be taken back. The answer to job 0 comes unasked, when the scripts
are loaded. ``n`` counts up in each worker; 0 wants no answer. ``_sleep`` and ``_log`` are for the
node itself, ``_spent`` says where the time of the job went, ``_retire`` asks to be replaced,
``_zygote`` turns the worker into a zygote, and the other names are what a node and a zygote say to
each other.
"""

from typing import Final

__all__ = [
    "BOOT_ID",
    "EXITED_METHOD",
    "FORK_METHOD",
    "KILL_METHOD",
    "LOG_METHOD",
    "RETIRE_METHOD",
    "SLEEP_METHOD",
    "SPENT_METHOD",
    "ZYGOTE_METHOD",
]

BOOT_ID: Final = 0
SLEEP_METHOD: Final = "_sleep"
LOG_METHOD: Final = "_log"
#: Just before the response: ``context_ms``, ``run_ms``, ``cpu_ms``, ``heap_bytes``.
SPENT_METHOD: Final = "_spent"
RETIRE_METHOD: Final = "_retire"
ZYGOTE_METHOD: Final = "_zygote"
FORK_METHOD: Final = "_fork"
KILL_METHOD: Final = "_kill"
EXITED_METHOD: Final = "_exited"
