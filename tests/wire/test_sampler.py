"""The sampler alone, over a server that counts how often it is asked. It runs in a child process,
because gevent's hub and pytest's threads do not mix."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.servers import ROOT, environment

PROGRAM = """
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


def test_one_sample_serves_all_viewers_and_nobody_costs_next_to_nothing():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, timeout=60, cwd=ROOT, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["alone"] == [0, 0]
    assert told["refused"] == told["ended"] == "503 Service Unavailable"
    assert told["shared"]
    assert told["asked"]
    assert told["waiting"] <= 8
    assert told["after"] <= 1
    assert told["end"] == 'event: end\ndata: {"reason":"draining"}\n\n'
    assert done.stderr.count("cannot be worked out") <= 1
