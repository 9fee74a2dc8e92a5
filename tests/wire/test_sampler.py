"""The stream's sampler over made-up servers, in child processes that gevent has to itself."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.servers import ROOT, environment

SHARED = """
import json
import gevent
from madrpc.http import events
from madrpc.http.guard import Refused

events._INTERVAL_S, events._RECENT_S = 0.02, 0.06

class Server:
    def __init__(self):
        self.brief = self.full = self.asked = self.fails = 0
    def counts(self, args=None):
        if self.fails:
            raise ValueError("no figures")
        self.brief += args["nodes"] is False
        self.full += args["nodes"] == "brief"
        return {"role": "orchestrator", "state": "up", "revision": "r", "uptime_s": 1.0,
                "calls": 0, "errors": 0, "durations": [], "nodes": [], "methods": {}}
    def about(self):
        return {"role": "orchestrator", "address": "a:1", "methods": ["f"]}
    def recent(self):
        self.asked += 1
        return {"slowest": [], "errors": []}

def until(condition):
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.005)

told = {}
server = Server()
watched = events.Events(server)
watched.start()
until(lambda: server.brief >= 5)
told["alone"] = [server.full, server.asked]
streams = [watched.watch() for _ in range(events.MOST_VIEWERS)]
try:
    watched.watch()
except Refused as refusal:
    told["refused"] = refusal.status
seen = [0] * len(streams)
def read(index):
    for data in streams[index]:
        seen[index] += data.startswith(b"event: sample")
readers = [gevent.spawn(read, index) for index in range(8)]
until(lambda: min(seen[:8]) >= 5)
told["shared"] = server.full <= max(seen[:8]) + 2
told["asked"] = 0 < server.asked < server.full
told["waiting"] = max(len(stream._waiting) for stream in streams)
server.fails = 1
gevent.sleep(0.1)
server.fails = 0
before = min(seen[:8])
until(lambda: min(seen[:8]) > before)
for stream in streams[8:]:
    stream.close()
gevent.killall(readers)
for stream in streams[:8]:
    stream.close()
full = server.full
brief = server.brief
until(lambda: server.brief >= brief + 3)
told["after"] = server.full - full
last = watched.watch()
until(lambda: len(last._waiting) > 1)
watched.stop("draining")
told["end"] = list(last)[-1].decode()
try:
    watched.watch()
except Refused as refusal:
    told["ended"] = refusal.status
print(json.dumps(told))
"""


STALLED = """
import json, logging, sys
import gevent
from gevent import socket
from madrpc.address import Address
from madrpc.http import events, guard
from madrpc.http.server import HttpServer
from tests.madeup import MadeUp

logging.basicConfig(stream=sys.stderr)
events._INTERVAL_S, guard._SEND_S = 0.02, 0.3
server = MadeUp(1, 1, False)
server._names = ["x" * 500_000]
http = HttpServer(Address("127.0.0.1", 0), server)
http.start()
sock = socket.socket()
sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
sock.connect(tuple(http.address))
sock.sendall(b"GET /events HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
viewers = http._events._viewers
most = 0
with gevent.Timeout(60):
    while not viewers:
        gevent.sleep(0.01)
    while viewers:
        gevent.sleep(0.01)
        most = max([most, *(len(each._waiting) for each in viewers)])
print(json.dumps({"most": most, "in_flight": http.in_flight}))
http.stop()
"""


def run(program: str) -> tuple[dict[str, Any], str]:
    """What a program told, and what it logged."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, timeout=90, cwd=ROOT, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_a_viewer_that_reads_nothing_is_let_go():
    told, logged = run(STALLED)
    assert told == {"most": 8, "in_flight": 0}
    assert "Traceback" not in logged


def test_one_sample_serves_all_viewers_and_nobody_costs_next_to_nothing():
    told, logged = run(SHARED)
    assert told["alone"] == [0, 0]
    assert told["refused"] == told["ended"] == "503 Service Unavailable"
    assert told["shared"]
    assert told["asked"]
    assert told["waiting"] <= 8
    assert told["after"] <= 1
    assert told["end"] == 'event: end\ndata: {"reason":"draining"}\n\n'
    assert logged.count("cannot be worked out") <= 1
