"""Two network namespaces joined by a link that delays and loses packets.

The link is a pair of veth devices with ``tc qdisc netem``; where the kernel has no netem, it is
``relay.py``, whose processor time then is part of what is measured. Nothing outside the two
namespaces is touched, and they go with the block.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from benchmarks.scale.launch import Program, Programs
from benchmarks.scale.relay import DEVICE

__all__ = ["Network", "unavailable"]

_HOSTS = ("10.213.87.1", "10.213.87.2")
_ON_THE_WAY = 100_000


def unavailable() -> str | None:
    """Why there can be no namespaces here, and what to do; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root; run it with sudo"
    if not (shutil.which("ip") and shutil.which("tc")):
        return "network namespaces need the commands ip and tc; apt-get install iproute2"
    probe = f"madrpc-scale-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if done.returncode != 0:
        return f"this machine allows no network namespaces: {done.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


def _ip(*words: object) -> str:
    done = subprocess.run(["ip", *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(map(str, words))}: {done.stderr.strip()}")
    return done.stdout


class Network:
    """The two ends and the link between them.

    Attributes:
        near, far: words that run a command at either end.
        far_host: address of the far end.
        how: what makes the delay, for people.
    """

    def __init__(self, names: tuple[str, str], relay: Program | None) -> None:
        self.near, self.far = (["ip", "netns", "exec", name] for name in names)
        self.far_host = _HOSTS[1]
        self.how = "netem" if relay is None else "a relay in user space"
        self._names = names
        self._relay = relay

    @classmethod
    @contextlib.contextmanager
    def made(cls, programs: Programs) -> Iterator[Network]:
        """Namespaces for the length of a block.

        Raises:
            OSError: neither netem nor TUN devices are there.
        """
        names = (f"madrpc-near-{os.getpid()}", f"madrpc-far-{os.getpid()}")
        try:
            for name in names:
                _ip("netns", "add", name)
                _ip("-n", name, "link", "set", "lo", "up")
            relay = None if _join_with_veth(names) else _join_with_relay(names, programs)
            for name, host in zip(names, _HOSTS, strict=True):
                _ip("-n", name, "addr", "add", f"{host}/30", "dev", DEVICE)
                _ip("-n", name, "link", "set", DEVICE, "txqueuelen", 10_000, "up")
            yield cls(names, relay)
        finally:
            programs.stop_all()
            for name in names:
                subprocess.run(["ip", "netns", "delete", name], capture_output=True)

    def shape(self, delay_ms: float, loss: float) -> None:
        """Set the milliseconds in either direction, and the share of packets that is lost."""
        if self._relay is not None:
            self._relay.say(f"{delay_ms} {loss}")
            self._relay.line()
            return
        for name in self._names:
            _netem(name, "change", delay_ms, loss)

    def bytes(self) -> int:
        """Bytes that the link has carried, with the heads of IP packets, both directions."""
        stats = json.loads(_ip("-n", self._names[0], "-s", "-j", "link", "show", "dev", DEVICE))
        counts = stats[0]["stats64"]
        return int(counts["rx"]["bytes"] + counts["tx"]["bytes"])


def _netem(name: str, verb: str, delay_ms: float, loss: float) -> bool:
    words = ["ip", "netns", "exec", name, "tc", "qdisc", verb, "dev", DEVICE, "root", "netem"]
    words += ["delay", f"{delay_ms}ms", "loss", f"{loss:.2%}", "limit", str(_ON_THE_WAY)]
    return subprocess.run(words, capture_output=True).returncode == 0


def _join_with_veth(names: tuple[str, str]) -> bool:
    """Join the namespaces with veth and netem; False, with nothing left, if netem is missing."""
    near, far = names
    _ip("-n", near, "link", "add", DEVICE, "type", "veth", "peer", "name", DEVICE, "netns", far)
    if all(_netem(name, "add", 0, 0) for name in names):
        return True
    _ip("-n", near, "link", "delete", DEVICE)
    return False


def _join_with_relay(names: tuple[str, str], programs: Programs) -> Program:
    if not Path("/dev/net/tun").exists():
        raise OSError("this kernel has neither netem nor /dev/net/tun; modprobe sch_netem")
    relay = programs.start("benchmarks.scale.relay", *names)
    relay.line()
    return relay
