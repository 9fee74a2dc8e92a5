"""A program on a terminal of its own, and what that terminal shows."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Sequence

import pyte

from tests.servers import environment

_KILL_AFTER_S = 10.0


class Terminal:
    """The terminal of one program; ``output`` is all that the program has written."""

    def __init__(self, words: Sequence[str], columns: int, rows: int, **env: str) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self.output = b""
        self._fd, child = pty.openpty()
        self.resize(columns, rows)
        settings = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", **env}
        self.process = subprocess.Popen(
            words,
            stdin=child,
            stdout=child,
            stderr=child,
            env=environment(**settings),
            start_new_session=True,
            # Else neither Ctrl-C nor a change of size would reach the program.
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(child)

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as a window does."""
        self.screen.resize(rows, columns)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    @property
    def text(self) -> str:
        """What the terminal shows."""
        return "\n".join(self.screen.display)

    def shows(self, *wanted: str, timeout_s: float = 20.0) -> str:
        """Wait until all of this is on the screen."""
        self.until(
            lambda: all(each in self.text for each in wanted), f"it shows {wanted}", timeout_s
        )
        return self.text

    def shows_no(self, unwanted: str, timeout_s: float = 20.0) -> None:
        """Wait until this is not on the screen."""
        self.until(lambda: unwanted not in self.text, f"{unwanted!r} goes", timeout_s)

    def until(self, condition: Callable[[], bool], what: str, timeout_s: float = 20.0) -> None:
        """Read what the program writes until this holds."""
        give_up = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < give_up, f"never happened: {what}\n{self.text}"
            self._read(0.1)

    @property
    def modes(self) -> list[object]:
        """How the terminal treats what is typed."""
        return list(termios.tcgetattr(self._fd))

    def ends(self, timeout_s: float = 20.0) -> int:
        """Wait for the end of the program; return its exit status."""
        give_up = time.monotonic() + timeout_s
        while self.process.poll() is None:
            assert time.monotonic() < give_up, f"it runs on:\n{self.text}"
            self._read(0.1)
        while self._read(0.1):
            pass
        return self.process.returncode

    def _read(self, timeout_s: float) -> bool:
        ready, _, _ = select.select([self._fd], [], [], timeout_s)
        if not ready:
            return False
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # the other end is closed
            return False
        self.output += data
        self._stream.feed(data)
        return bool(data)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(_KILL_AFTER_S)
        os.close(self._fd)


@contextlib.contextmanager
def on_terminal(
    words: Sequence[str], columns: int = 80, rows: int = 24, **env: str
) -> Iterator[Terminal]:
    """A program on a terminal for the length of a block."""
    terminal = Terminal(words, columns, rows, **env)
    try:
        yield terminal
    finally:
        terminal.close()
