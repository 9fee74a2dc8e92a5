"""Run as a program: confines itself as a worker does, then tries what it must not be able to do.

Prints one JSON object: for each attempt "done", or the name of the error number.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import platform
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

from madrpc.config import EngineLimits
from madrpc.node.confine import bound_address_space, confine
from madrpc.node.sandbox import Level, apply

LIBC = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"


def syscall(x86_64: int, aarch64: int, *args: Any) -> int:
    result: int = LIBC.syscall(ctypes.c_long(x86_64 if X86 else aarch64), *args)
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def call(function: str, *args: Any) -> None:
    if getattr(LIBC, function)(*args) == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def fork() -> None:
    if os.fork() == 0:
        os._exit(0)
    os.wait()


def executable_memory() -> None:
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def make_executable() -> None:
    page = mmap.mmap(-1, 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    call("mprotect", ctypes.c_void_p(address), ctypes.c_size_t(4096), 5)


def make_a_thread() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()


def own_by_signal(fd: int) -> None:
    import fcntl

    fcntl.fcntl(fd, fcntl.F_SETOWN, os.getppid())


def attempts(victim: int, folder: str, fd: int) -> dict[str, Callable[[], Any]]:
    path = os.path.join(folder, "file")
    return {
        "read a file": lambda: open("/etc/passwd").close(),
        "write a file": lambda: open(path + "2", "w").close(),
        "open with openat2": lambda: syscall(437, 437, -100, b"/etc/passwd", b"\0" * 24, 24),
        "delete a file": lambda: os.unlink(path),
        "rename a file": lambda: os.rename(path, path + "3"),
        "make a folder": lambda: os.mkdir(path + "4"),
        "change mode": lambda: os.chmod(path, 0o777),
        "list a folder": lambda: os.listdir("/"),
        "change folder": lambda: os.chdir("/"),
        "make a TCP socket": lambda: socket.socket().close(),
        "make a Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "make a raw socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "connect": lambda: call("connect", fd, b"\1\0/x\0", 5),
        "bind": lambda: call("bind", fd, b"\1\0/x\0", 5),
        "fork": fork,
        "vfork": lambda: syscall(58, 220, 0x4111, 0, 0, 0, 0) if X86 else os.execv("/x", ["x"]),
        "make a thread": lambda: syscall(56, 220, 0x3D0F00, 0, 0, 0, 0),
        "make a user namespace": lambda: syscall(272, 97, 0x10000000),
        "clone3": lambda: syscall(435, 435, b"\0" * 64, 64),
        "execute a program": lambda: os.execv("/bin/true", ["true"]),
        "signal another process": lambda: os.kill(victim, 0),
        "kill another process": lambda: os.kill(victim, 9),
        "kill its group": lambda: os.kill(0, 9),
        "kill everybody": lambda: os.kill(-1, 9),
        "signal by pidfd": lambda: syscall(434, 434, victim, 0),
        "signal by tgkill": lambda: syscall(234, 131, victim, victim, 0),
        "own a descriptor's signals": lambda: own_by_signal(fd),
        "trace": lambda: syscall(101, 117, 16, victim, 0, 0),
        "read another's memory": lambda: syscall(310, 270, victim, 0, 0, 0, 0, 0),
        "executable memory": executable_memory,
        "make memory executable": make_executable,
        "memory as a file": lambda: syscall(319, 279, b"x", 0),
        "io_uring": lambda: syscall(425, 425, 8, b"\0" * 120),
        "bpf": lambda: syscall(321, 280, 0, 0, 0),
        "perf": lambda: syscall(298, 241, b"\0" * 128, 0, -1, -1, 0),
        "keyring": lambda: syscall(250, 219, 0, -1, 0, 0, 0),
        "mount": lambda: syscall(165, 40, b"none", b"/tmp", b"tmpfs", 0, 0),
        "change root": lambda: os.chroot("/"),
        "change user": lambda: os.setuid(os.getuid() + 1),
        "host name": lambda: socket.sethostname("x"),
        "raise a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 5),
        "leave the parent": lambda: call("prctl", 1, 0, 0, 0, 0),
        "be dumpable": lambda: call("prctl", 4, 1, 0, 0, 0),
        "shared memory": lambda: syscall(29, 194, 0, 4096, 0o1600),
        "userfaultfd": lambda: syscall(323, 282, 0),
    }


def permitted(ours: socket.socket, theirs: socket.socket) -> str:
    """What a worker needs must still work; anything raised ends the program."""
    theirs.sendall(b"x")
    assert ours.recv(1) == b"x"
    assert len(bytearray(32 * 1024 * 1024)) == 32 * 1024 * 1024
    assert len(os.urandom(8)) == 8
    signal.setitimer(signal.ITIMER_REAL, 10)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return "works"


def outcome(attempt: Callable[[], Any]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    except ValueError:  # setrlimit says so for EPERM
        return "EPERM"
    return "done"


def main(level: str, victim: int, folder: str) -> None:
    held, kept = socket.socketpair()
    confine(os.getppid(), keep=(kept.fileno(),))
    bound_address_space(EngineLimits())
    assert outcome(lambda: os.fstat(held.fileno())) == "EBADF"
    held.detach()
    ours, theirs = socket.socketpair()
    if level == "forked child":
        apply(Level.FORK)
        if os.fork():
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        apply(Level.RUN)
    elif level != "none":
        apply(Level(level))
    every = attempts(victim, folder, ours.fileno())
    if level == "threads":
        # The bare system call would come back twice on one stack.
        every["make a thread"] = make_a_thread
    found = {name: outcome(attempt) for name, attempt in every.items()}
    print(json.dumps({"permitted": permitted(ours, theirs), **found}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
