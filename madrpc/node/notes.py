"""What workers say of their jobs besides answers: what they wrote, used, and wore out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from madrpc.node.dialect import LOG_METHOD, RETIRE_METHOD, SPENT_METHOD
from madrpc.policy.job import Job
from madrpc.protocol.messages import Request, unpack_request_tail
from madrpc.protocol.meta import meta_of, trace_of

__all__ = ["about", "take_note", "trace_of_job"]

log = logging.getLogger(__name__)

_LEVELS = {"debug": logging.DEBUG, "warn": logging.WARNING, "error": logging.ERROR}


def take_note(job: Job, request: Request) -> bool:
    """Take what a worker says of a job; False for what is not of that kind."""
    if request.method == LOG_METHOD:
        _log_lines(job, request)
    elif request.method == SPENT_METHOD:
        job.spent = unpack_request_tail(request.tail)[1]
    elif request.method == RETIRE_METHOD:
        if job.slot is not None:
            job.slot.worn = True
    else:
        return False
    return True


def _log_lines(job: Job, request: Request) -> None:
    """Log what a job wrote to its console."""
    _, args, _ = unpack_request_tail(request.tail)
    extra = about(job)
    for level, text in args["lines"]:
        log.log(_LEVELS.get(level, logging.INFO), "%s: %s", job.method, text, extra=extra)


def about(job: Job | None) -> Mapping[str, Any]:
    """The job as log records carry it."""
    if job is None:
        return {}
    return {"call": {"method": job.method, "trace": trace_of_job(job)}}


def trace_of_job(job: Job) -> str | None:
    """The trace id that the call came with, if it has one."""
    return trace_of(meta_of(job.tail) if job.meta is None else job.meta)
