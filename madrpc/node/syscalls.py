"""System calls by name: their numbers on each machine, and which ones a sandbox lets pass."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "ARCHITECTURES",
    "FORK_CALLS",
    "NUMBERS",
    "RUN_CALLS",
    "THREAD_CALLS",
    "Architecture",
    "Rule",
]


@dataclass(frozen=True)
class Architecture:
    """A machine as the kernel's audit layer names it, and its column in ``NUMBERS``."""

    audit: int
    column: int


#: By ``os.uname().machine``; the numbers are AUDIT_ARCH_* of linux/audit.h.
ARCHITECTURES = {"x86_64": Architecture(0xC000003E, 0), "aarch64": Architecture(0xC00000B7, 1)}


@dataclass(frozen=True)
class Rule:
    """Lets a call pass only with some values of one argument.

    Attributes:
        argument: index of the argument; its lower 32 bits are looked at.
        values: the values that pass, where not empty.
        without: bits of which none may be set.
        not_zero: whether 0 is refused.
        also: another rule that must let the call pass too.
    """

    argument: int
    values: tuple[int, ...] = ()
    without: int = 0
    not_zero: bool = False
    also: Rule | None = None


_PROT_EXEC = 4
_F_GETFD_SETFD_GETFL_SETFL = (1, 2, 3, 4)
_FIONBIO = 0x5421
_AF_UNIX = 1
_AT_EMPTY_PATH = 0x1000
_SIGKILL = 9
_SIGN = 0x80000000
_PR_SET_PDEATHSIG = 1
#: CLONE_VM, CLONE_THREAD and every CLONE_NEW*: a plain fork has none of them.
_NOT_A_FORK = 0x00000100 | 0x00010000 | 0x7E020000 | 0x00000080

#: Numbers on x86_64 and aarch64 (asm/unistd_64.h, asm-generic/unistd.h); None: not there.
NUMBERS: dict[str, tuple[int | None, int | None]] = {
    # The descriptors that are open already.
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "poll": (7, None),
    "lseek": (8, 62),
    "ioctl": (16, 29),
    "readv": (19, 65),
    "writev": (20, 66),
    "select": (23, None),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "shutdown": (48, 210),
    "fcntl": (72, 25),
    "pselect6": (270, 72),
    "ppoll": (271, 73),
    # Memory.
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "brk": (12, 214),
    "mremap": (25, 216),
    "madvise": (28, 233),
    # Time, signals to itself, and what the C library asks in passing.
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_yield": (24, 124),
    "nanosleep": (35, 101),
    "getitimer": (36, 102),
    "setitimer": (38, 103),
    "getpid": (39, 172),
    "exit": (60, 93),
    "gettimeofday": (96, 169),
    "getrusage": (98, 165),
    "times": (100, 153),
    "getuid": (102, 174),
    "getgid": (104, 176),
    "geteuid": (107, 175),
    "getegid": (108, 177),
    "getppid": (110, 173),
    "sigaltstack": (131, 132),
    "gettid": (186, 178),
    "time": (201, None),
    "futex": (202, 98),
    "restart_syscall": (219, 128),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "exit_group": (231, 94),
    "set_robust_list": (273, 99),
    "getcpu": (309, 168),
    "getrandom": (318, 278),
    "rseq": (334, 293),
    # What only a process that makes threads needs.
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    # What only the process that forks workers needs.
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "newfstatat": (262, 79),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "wait4": (61, 260),
    "kill": (62, 129),
    "prctl": (157, 167),
    "set_tid_address": (218, 96),
    "waitid": (247, 95),
    "seccomp": (317, 277),
    "close_range": (436, 436),
    # Refused as unknown, so that the C library falls back to clone, whose flags can be seen.
    "clone3": (435, 435),
}
_FORK_ONLY: dict[str, Rule | None] = {
    "clone": Rule(0, without=_NOT_A_FORK),
    "close_range": None,
    "getsockname": None,
    "getsockopt": None,
    # One process by its id; the ids up to 0 stand for groups, and for everybody.
    "kill": Rule(1, values=(_SIGKILL,), also=Rule(0, without=_SIGN, not_zero=True)),
    # The C library's way to look at a descriptor; it can look at a path too, but not open it.
    "newfstatat": Rule(3, values=(_AT_EMPTY_PATH,)),
    "prctl": Rule(0, values=(_PR_SET_PDEATHSIG,)),
    "seccomp": None,
    "set_tid_address": None,
    "socketpair": Rule(0, values=(_AF_UNIX,)),
    "wait4": None,
    "waitid": None,
}
#: What glibc and musl ask for when they make a thread: nothing else comes of these flags.
_A_THREAD = (0x003D0F00, 0x007D0F00)
_THREAD_ONLY: dict[str, Rule | None] = {
    "clone": Rule(0, values=_A_THREAD),
    "sched_getaffinity": None,
    "sched_getparam": None,
    "sched_getscheduler": None,
}
_RULES = {
    "fcntl": Rule(1, values=_F_GETFD_SETFD_GETFL_SETFL),
    "ioctl": Rule(1, values=(_FIONBIO,)),
    "mmap": Rule(2, without=_PROT_EXEC),
    "mprotect": Rule(2, without=_PROT_EXEC),
}
#: What passes in a process that runs scripts.
RUN_CALLS: dict[str, Rule | None] = {
    name: _RULES.get(name)
    for name in NUMBERS
    if name not in _FORK_ONLY and name not in _THREAD_ONLY and name != "clone3"
}
#: What passes where each context has a thread of its own, as with V8. Executable memory it has
#: taken before.
THREAD_CALLS: dict[str, Rule | None] = {**RUN_CALLS, **_THREAD_ONLY}
#: What passes in the process that holds loaded scripts and forks workers from them.
FORK_CALLS: dict[str, Rule | None] = {**RUN_CALLS, **_FORK_ONLY}
