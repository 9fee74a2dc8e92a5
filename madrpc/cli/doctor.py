"""``madrpc doctor``: is this machine fit?"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import psutil

from madrpc.engine import build
from madrpc.engine.choice import problem_with
from madrpc.links.files import connections_that_fit
from madrpc.node.cpus import cgroup_quota, default_pool_size, usable_cpus
from madrpc.node.sandbox import support
from madrpc.version import __version__

__all__ = ["run_doctor"]

EXIT_UNFIT = 2
_WORKER_BYTES = 40 * 2**20
_FEW_FILES = 4096
_ORCHESTRATOR_PORT = 8080
_PACKAGES = ("gevent", "msgpack")
_EXTRAS = (
    ("textual", "top", "the full screen of 'madrpc top'"),
    ("tqdm", "progress", "progress bars of map"),
    ("cryptography", "tls", "'madrpc tls init'"),
    ("distributed", "dask", "a service on the hosts of a Dask cluster"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``state`` is ok, warn or fail."""

    state: str
    about: str
    text: str


def run_doctor(options: argparse.Namespace) -> int:
    """``madrpc doctor``"""
    findings = []
    for check in _CHECKS:
        for finding in check():
            findings.append(finding)
            if not options.json:
                print(f"{finding.state:5} {finding.about:9} {finding.text}", flush=True)
    if options.json:
        print(json.dumps([asdict(finding) for finding in findings]))
    return EXIT_UNFIT if any(finding.state == "fail" for finding in findings) else 0


def _versions() -> Iterator[Finding]:
    packages = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    text = f"madrpc {__version__}, Python {platform.python_version()}, {packages}"
    old = sys.version_info < (3, 11)
    yield Finding(
        "fail" if old else "ok", "versions", text + "; install Python 3.11 or newer" * old
    )
    yield Finding("ok", "system", platform.platform())


def _processors() -> Iterator[Finding]:
    quota = cgroup_quota()
    there, usable = os.cpu_count() or 1, usable_cpus()
    text = f"{usable} usable" + (f" of {there}" if usable != there else "")
    text += f", so a node starts {default_pool_size()} workers"
    if quota is not None:
        text += f"; the control group allows {quota:g}"
    yield Finding("ok", "cpu", text)


def _memory() -> Iterator[Finding]:
    free = psutil.virtual_memory().available
    need = default_pool_size() * _WORKER_BYTES
    state = "ok" if free > 2 * need else "warn"
    yield Finding(
        state, "memory",
        f"{free / 2**30:.1f} GiB free; {default_pool_size()} workers take about "
        f"{need / 2**20:.0f} MiB before their scripts"
        + ("" if state == "ok" else "; start fewer with --pool-size"),
    )  # fmt: skip


def _engine() -> Iterator[Finding]:
    if build.has_rival():
        yield Finding(
            "fail", "engine",
            "the package 'quickjs' is installed too and takes the same module name; "
            "pip uninstall quickjs, then pip install --force-reinstall quickjs-ng",
        )  # fmt: skip
    is_wheel = build.is_ready_made()
    origin = "the ready-made wheel" if is_wheel else "built on this machine"
    yield Finding(
        "warn" if is_wheel else "ok", "engine",
        f"{build.NAME} {build.version()}, {origin}: {build.loop_rate() / 1e6:.0f} million loop "
        f"steps a second, {build.context_us():.0f} us for a context"
        + ("; a local build is 1.4 to 2.9 times faster: " + _rebuild_hint() if is_wheel else ""),
    )  # fmt: skip


def _v8() -> Iterator[Finding]:
    problem = problem_with("v8")
    if problem is not None:
        yield Finding("ok", "v8", problem)
        return
    from madrpc.engine import v8_build

    isolate_us, rate = v8_build.isolate_us(), v8_build.loop_rate()
    own_us, own_rate = build.context_us(), build.loop_rate()
    # Both take the same time where what the loops save has paid for the isolate.
    even_ms = (isolate_us - own_us) / (1 - own_rate / rate) / 1000
    yield Finding(
        "ok", "v8",
        f"{v8_build.NAME} {v8_build.package_version()}, V8 {v8_build.version()}: "
        f"{rate / 1e6:.0f} million loop steps a second, {isolate_us / 1000:.1f} ms for an isolate; "
        f"--engine v8 pays for functions that compute for more than {even_ms:.0f} ms on quickjs",
    )  # fmt: skip


def _rebuild_hint() -> str:
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return "install a C compiler, then pip install --no-binary quickjs-ng quickjs-ng"
    return "pip install --force-reinstall --no-deps --no-binary quickjs-ng quickjs-ng"


def _sandbox() -> Iterator[Finding]:
    problem = support()
    if problem is None:
        yield Finding("ok", "sandbox", "seccomp filters are there; --sandbox auto uses them")
    else:
        yield Finding("warn", "sandbox", f"workers would run without: {problem}")


def _files() -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fit = connections_that_fit(_FEW_FILES)
    state = "ok" if fit >= _FEW_FILES else "warn"
    text = f"{soft} open files allowed, at most {hard}; room for {fit} connections"
    yield Finding(state, "files", text + ("" if state == "ok" else "; raise 'ulimit -n'"))


def _port() -> Iterator[Finding]:
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("", _ORCHESTRATOR_PORT))
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            yield Finding(
                "warn", "port",
                f"{_ORCHESTRATOR_PORT}, an orchestrator's own, cannot be taken: {reason}; choose "
                "another with 'madrpc orchestrator -b HOST:PORT'",
            )  # fmt: skip
        else:
            yield Finding("ok", "port", f"{_ORCHESTRATOR_PORT}, an orchestrator's own, is free")


def _extras() -> Iterator[Finding]:
    for module, extra, purpose in _EXTRAS:
        if importlib.util.find_spec(module) is not None:
            yield Finding("ok", "extra", f"{extra}: {purpose}")
        else:
            yield Finding("ok", "extra", f"without {extra} there is not: {purpose}; "
                          f"pip install 'madrpc[{extra}]'")  # fmt: skip


_CHECKS = (_versions, _processors, _memory, _engine, _v8, _sandbox, _files, _port, _extras)
