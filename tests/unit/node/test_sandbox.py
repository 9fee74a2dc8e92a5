"""The filter's decisions, by running its program as the kernel would."""

from __future__ import annotations

import struct

import pytest

from madrpc.node.sandbox import Level, assemble
from madrpc.node.syscalls import ARCHITECTURES, FORK_CALLS, NUMBERS, RUN_CALLS, THREAD_CALLS

ALLOW, KILL, EPERM, ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
MACHINES = sorted(ARCHITECTURES)
LEVELS = list(Level)
CALLS = {Level.RUN: RUN_CALLS, Level.FORK: FORK_CALLS, Level.THREADS: THREAD_CALLS}


def decide(program: bytes, arch: int, number: int, *args: int) -> int:
    """Run a classic BPF program over one system call."""
    padded = [*args, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("<IIQ6Q", number, arch, 0, *padded)
    code = [struct.unpack_from("HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator = at = 0
    while True:
        operation, then, otherwise, value = code[at]
        at += 1
        if operation == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif operation == 0x06:
            return value
        else:
            holds = {
                0x15: accumulator == value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[operation]
            at += then if holds else otherwise


@pytest.fixture(params=[(m, level) for m in MACHINES for level in LEVELS], ids=str)
def case(request):
    machine, level = request.param
    architecture = ARCHITECTURES[machine]
    program = assemble(architecture, level)

    def ask(name_or_number, *args, arch=architecture.audit):
        number = name_or_number
        if isinstance(number, str):
            number = NUMBERS[number][architecture.column]
        return decide(program, arch, number, *args)

    ask.level = level
    ask.column = architecture.column
    return ask


def test_what_has_no_rule_is_allowed_whatever_its_arguments(case):
    for name, rule in CALLS[case.level].items():
        if rule is None and NUMBERS[name][case.column] is not None:
            assert case(name) == case(name, 2**64 - 1, 5, 7, 1, 2, 3) == ALLOW


def test_every_other_number_is_refused(case):
    known = {NUMBERS[name][case.column] for name in CALLS[case.level]}
    known.add(NUMBERS["clone3"][case.column])
    for number in set(range(600)) - known:
        assert case(number) == EPERM


def test_clone3_does_not_exist(case):
    assert case("clone3") == ENOSYS


def test_the_other_interface_of_the_kernel_does_not_exist(case):
    assert case(0x40000000) == case(0x40000001) == case(0xFFFFFFFF) == ENOSYS


@pytest.mark.parametrize("arch", [0, 0x40000003, 0x40000028, 0xC0000015])
def test_another_machines_calls_end_the_process(case, arch):
    assert case("read", arch=arch) == KILL


@pytest.mark.parametrize("name", ["mmap", "mprotect"])
def test_memory_is_never_executable(case, name):
    for protection in range(8):
        expected = EPERM if protection & 4 else ALLOW
        assert case(name, 0, 4096, protection) == expected
        assert case(name, 4, 4, protection | 1 << 32) == expected


def test_descriptors_send_no_signals(case):
    allowed = {command for command in range(2000) if case("fcntl", 0, command) == ALLOW}
    assert allowed == {1, 2, 3, 4}
    assert {c for c in (0x5421, 0x5452, 0x8901, 0x541B) if case("ioctl", 0, c) == ALLOW} == {0x5421}


def test_only_a_process_that_forks_may_fork_and_only_fork(case):
    plain = 0x01200011  # what the C library's fork sets
    wanted = ALLOW if case.level is Level.FORK else EPERM
    assert case("clone", plain) == wanted
    thread_or_namespace = [0x100, 0x10000, 0x20000, 0x80, *(1 << bit for bit in range(25, 31))]
    for flag in thread_or_namespace:
        if flag & plain == 0:
            assert case("clone", plain | flag) == EPERM


def test_only_a_process_with_threads_may_make_one_and_only_as_the_c_library_does(case):
    wanted = ALLOW if case.level is Level.THREADS else EPERM
    for flags in (0x003D0F00, 0x007D0F00):
        assert case("clone", flags) == wanted
        for bit in range(32):
            # The one bit by which the two C libraries differ may be there or not.
            if flags ^ 1 << bit not in (0x003D0F00, 0x007D0F00):
                assert case("clone", flags ^ 1 << bit) == EPERM


def test_of_prctl_only_the_parent_death_signal_is_left(case):
    allowed = {option for option in range(100) if case("prctl", option) == ALLOW}
    assert allowed == ({1} if case.level is Level.FORK else set())


def test_a_worker_may_not_do_what_needs_a_name_or_another_process():
    assert not RUN_CALLS.keys() & {"kill", "clone", "seccomp", "prctl", "socketpair", "newfstatat"}
    for column in (0, 1):
        numbers = [pair[column] for pair in NUMBERS.values() if pair[column] is not None]
        assert len(numbers) == len(set(numbers))
