"""A seccomp filter: after it, a worker can compute and use the descriptors it has, nothing else.

An exploit of the engine then finds no way to open a file or a socket, start a process or signal
another one: those system calls fail with EPERM. The filter is a BPF program that the kernel runs
before each system call; it cannot be taken off, and children inherit it.
"""

from __future__ import annotations

import ctypes
import functools
import os
import struct
import sys
from collections.abc import Mapping
from enum import Enum

from madrpc.node.syscalls import (
    ARCHITECTURES,
    FORK_CALLS,
    NUMBERS,
    RUN_CALLS,
    THREAD_CALLS,
    Architecture,
    Rule,
)

__all__ = ["Level", "apply", "assemble", "support"]


class Level(Enum):
    """What a process is for. One that forks may tighten its children from FORK to RUN.

    THREADS is RUN for an engine whose contexts have threads.
    """

    RUN = "run"
    FORK = "fork"
    THREADS = "threads"


_CALLS: Mapping[Level, Mapping[str, Rule | None]] = {
    Level.RUN: RUN_CALLS,
    Level.FORK: FORK_CALLS,
    Level.THREADS: THREAD_CALLS,
}

# linux/bpf_common.h: load a word of the call's data, compare, test bits, return.
_LOAD, _JUMP_EQUAL, _JUMP_NOT_LESS, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_AT_NUMBER, _AT_ARCH, _AT_ARGUMENTS = 0, 4, 16
# linux/seccomp.h
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_SET_MODE_FILTER, _GET_ACTION_AVAIL, _TSYNC = 1, 2, 1
_EPERM, _ENOSYS = 1, 38
#: x86_64 kernels take calls of the x32 interface too, with this bit in the number.
_X32 = 0x40000000
#: Asked for once: a process in a sandbox may not.
_MACHINE = os.uname().machine
_INSTRUCTION = struct.Struct("HBBI")
_libc = ctypes.CDLL(None, use_errno=True)
_DENY, _UNKNOWN = _ERRNO | _EPERM, _ERRNO | _ENOSYS


class _Program(ctypes.Structure):
    """``struct sock_fprog``"""

    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))


def support() -> str | None:
    """Why this machine cannot sandbox workers, as the end of a sentence; None if it can."""
    if sys.platform != "linux":
        return f"seccomp is a part of Linux, and this is {sys.platform}"
    if _MACHINE not in ARCHITECTURES:
        return f"the numbers of system calls are known for {' and '.join(ARCHITECTURES)} only"
    action = ctypes.c_uint32(_ERRNO)
    if _seccomp(_GET_ACTION_AVAIL, 0, ctypes.byref(action)) != 0:
        return f"the kernel has no seccomp filters, or forbids them ({os.strerror(_errno())})"
    return None


def apply(level: Level) -> None:
    """Confine this process, all of its threads and its future children for good.

    Raises:
        OSError: the kernel refused.
    """
    program = assemble(ARCHITECTURES[_MACHINE], level)
    code = ctypes.create_string_buffer(program, len(program))
    prepared = _Program(len(program) // _INSTRUCTION.size, ctypes.addressof(code))
    if _seccomp(_SET_MODE_FILTER, _TSYNC, ctypes.byref(prepared)) != 0:
        raise OSError(_errno(), f"seccomp failed: {os.strerror(_errno())}")


@functools.cache
def assemble(architecture: Architecture, level: Level) -> bytes:
    """The filter as an array of ``struct sock_filter``."""
    code = [
        _step(_LOAD, _AT_ARCH),
        _step(_JUMP_EQUAL, architecture.audit, then=1),
        _step(_RETURN, _KILL),
        _step(_LOAD, _AT_NUMBER),
        _step(_JUMP_NOT_LESS, _X32, otherwise=1),
        _step(_RETURN, _UNKNOWN),
    ]
    clone3 = NUMBERS["clone3"][architecture.column]
    assert clone3 is not None
    code += [_step(_JUMP_EQUAL, clone3, otherwise=1), _step(_RETURN, _UNKNOWN)]
    for name, rule in _CALLS[level].items():
        number = NUMBERS[name][architecture.column]
        if number is not None:
            body = _check(rule) if rule is not None else [_step(_RETURN, _ALLOW)]
            code += [_step(_JUMP_EQUAL, number, otherwise=len(body)), *body]
    code.append(_step(_RETURN, _DENY))
    return b"".join(code)


def _check(rule: Rule) -> list[bytes]:
    """Allow or deny by arguments; never falls through."""
    deny = _step(_RETURN, _DENY)
    code = [_step(_LOAD, _AT_ARGUMENTS + 8 * rule.argument)]
    if rule.values:
        count = len(rule.values)
        code += [
            _step(_JUMP_EQUAL, value, then=count - index) for index, value in enumerate(rule.values)
        ]
        code.append(deny)
    if rule.without:
        code += [_step(_JUMP_ANY_BIT, rule.without, otherwise=1), deny]
    if rule.not_zero:
        code += [_step(_JUMP_EQUAL, 0, otherwise=1), deny]
    return code + (_check(rule.also) if rule.also else [_step(_RETURN, _ALLOW)])


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return _INSTRUCTION.pack(code, then, otherwise, value)


def _seccomp(operation: int, flags: int, argument: object) -> int:
    number = NUMBERS["seccomp"][ARCHITECTURES[_MACHINE].column]
    result: int = _libc.syscall(
        ctypes.c_long(number or 0), ctypes.c_uint(operation), ctypes.c_uint(flags), argument
    )
    return result


def _errno() -> int:
    return ctypes.get_errno()
