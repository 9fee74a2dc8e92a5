"""``madrpc up`` as somebody sees it who writes a script."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from madrpc import Client
from tests.servers import command, environment, madrpc, poll_until

SCRIPT = """
/** Say which version this is. */
madrpc.register("version", () => 1);
/**
 * Add two numbers.
 * @param {{a: number, b: number}} args
 */
madrpc.register("add", ({a, b}) => a + b);
"""
BROKEN = SCRIPT + "madrpc.register('x', () => ;\n"


def version(client: Client) -> int:
    found: int = client.call("version")
    return found


def test_up_shows_what_is_where_and_follows_the_file(tmp_path: Path) -> None:
    script, log, out = tmp_path / "calc.js", tmp_path / "stderr", tmp_path / "stdout"
    script.write_text(SCRIPT)
    with log.open("w") as stderr, out.open("w") as stdout:
        process = subprocess.Popen(
            command("up", script, "-b", "127.0.0.1:0", "--pool-size", 1, "--watch"),
            stdout=stdout, stderr=stderr, env=environment(),
        )  # fmt: skip
    try:
        text = poll_until(lambda: "Ctrl-C" in out.read_text() and out.read_text(), "it is up", 60)
        found = re.match(r"orchestrator ready on (\S+)  nodes 1  workers 1\n", text)
        assert found
        assert text.splitlines()[1:] == [
            "  add(a, b)   Add two numbers",
            "  version()   Say which version this is",
            "watching calc.js: save, and calls run the new code",
            f"try: madrpc call {found[1]} add a=1 b=2",
            f"     madrpc top {found[1]}",
            "Ctrl-C stops it",
        ]
        words = shlex.split(text.splitlines()[4])[2:]
        assert madrpc(*words).stdout == "3\n"

        with Client(found[1]) as client:
            script.write_text(BROKEN)
            poll_until(lambda: "SyntaxError" in log.read_text(), "the mistake is shown")
            shown = log.read_text().partition("calc.js:")[2].splitlines()
            assert shown[0].startswith("9:28: SyntaxError")
            assert shown[1:3] == ["  madrpc.register('x', () => ;", " " * 29 + "^"]
            assert version(client) == 1
            # An editor that puts a new file in the place of the old one, and saves twice.
            for number_saved in (2, 3):
                new = tmp_path / "new.js"
                new.write_text(SCRIPT.replace("=> 1", f"=> {number_saved}"))
                new.rename(script)
            poll_until(lambda: version(client) == 3, "the new code runs")
    finally:
        process.terminate()
        status = process.wait(60)
    assert status == 0
    assert "Traceback" not in log.read_text()
