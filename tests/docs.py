"""Pages of documentation as programs: their fenced blocks, run in order in one folder.

What a page shows is what a reader would do:

- A ``console`` block is a terminal. Lines that begin with ``$`` are typed, the others are what
  they print. Servers (``madrpc up``, ``node``, ``orchestrator``) run on until ``^C`` or the end of
  the page.
- A block whose first line is a comment with nothing but a file's name is that file; so is any
  block below ``<!-- file: NAME -->``.
- Any other ``python`` block is a program, and a ``text`` block right after one is what it prints.

Comments above a block, which readers do not see, say what else there is to know:

- ``<!-- not run: REASON -->``
- ``<!-- needs: NAME -->``: a program, or a package of Python, that not everybody has.
- ``<!-- exits: 2 -->``: the status that the last command of the block ends with.
- ``<!-- numbers vary -->``: all of them. Those with a unit, hashes and times vary anyway.
- ``<!-- stopped -->``: whatever ran before has been stopped.
- ``<!-- server shows -->``: the block is what the server that was started last writes.

In output, ``...`` stands for any text, and on a line of its own for any lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["COMMENTS", "Block", "Step", "blocks_of", "matches", "stray_commands", "unmarked"]

#: What a comment above a block may say.
COMMENTS = ("not run", "needs", "exits", "numbers vary", "file", "server shows", "stopped")

_FENCE = re.compile(r"^( *)(```+)([\w-]*)[^\n]*\n(.*?)^\1\2 *$", re.M | re.S)
_COMMENT = re.compile(r"<!-- *([a-z ]+?)(?:: *([^\n]*?))? *-->\s*$")
_FILE_LINE = re.compile(r"(?://|#) ([\w./-]+\.\w+)\n")
#: What Markdown shows as code without a fence, but for lines that go on with a list.
_STRAY = re.compile(r"(?<=\n\n) {4,}(?![ *+-]|\d+\.)[^\n]*")

_UNIT = r"(?:ms|us|s|min|h|d|%|[kMG]i?B|/s|calls/s|calls a second)"
_VARIES = (
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.\d]*Z?"), "TIME"),
    (re.compile(rf"(?<![\w.])[\d.,]+ ?{_UNIT}(?![\w/])"), "N"),
    (re.compile(r"@[0-9a-f]{8}\b"), "@HASH"),
    (re.compile(r"-{3,}|─{3,}|[▁▂▃▄▅▆▇█▏▎▍▌▋▊▉]+"), "-"),
)
_NUMBER = re.compile(r"(?<![\w.])-?\d[\d.,]*[kM]?")


@dataclass(frozen=True)
class Step:
    """A command, and the lines that it prints."""

    command: str
    shown: str


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, its text, and what comments say of it."""

    line: int
    language: str
    text: str
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str | None:
        """The file that the block is."""
        named = _FILE_LINE.match(self.text)
        return self.notes.get("file") or (named[1] if named else None)

    @property
    def steps(self) -> Iterator[Step]:
        """What is typed into a terminal, one command after the other."""
        for part in re.split(r"^(?=\$ |\^C$)", self.text, flags=re.M):
            command, _, shown = part.replace("\\\n", "\\\0").partition("\n")
            if command:
                yield Step(command.replace("\\\0", "\\\n").removeprefix("$ "), shown)


def blocks_of(page: str) -> list[Block]:
    """Every fenced block of a page, in order."""
    found = []
    for match in _FENCE.finditer(page):
        line = page.count("\n", 0, match.start()) + 1
        notes = dict(_notes(page[: match.start()]))
        found.append(Block(line, match[3], textwrap.dedent(match[4]), notes))
    return found


def _notes(above: str) -> Iterator[tuple[str, str]]:
    """The comments that end where a block begins."""
    while (match := _COMMENT.search(above)) is not None:
        yield match[1], match[2] or ""
        above = above[: match.start()]


def unmarked(blocks: list[Block]) -> list[str]:
    """What is neither run nor marked with a reason, as sentences."""
    found = []
    for above, block in zip([None, *blocks], blocks, strict=False):
        strange = set(block.notes) - set(COMMENTS)
        if strange:
            found.append(f"line {block.line}: unknown comment {', '.join(sorted(strange))}")
        if "not run" in block.notes and not block.notes["not run"]:
            found.append(f"line {block.line}: not run, and no reason")
        known = block.language in ("console", "python") or block.file or block.notes
        printed = block.language == "text" and above is not None and above.language == "python"
        if not known and not printed:
            found.append(f"line {block.line}: say what this block is (tests/docs.py)")
    return found


def stray_commands(page: str) -> list[str]:
    """Commands that stand outside fenced blocks, where nobody would run them."""
    outside = _FENCE.sub(lambda match: "\n" * match[0].count("\n"), page)
    return [match[0].strip() for match in _STRAY.finditer(outside)]


def matches(shown: str, printed: str, *, numbers_vary: bool = False) -> bool:
    """Whether a program printed what a page shows."""
    pattern = ""
    for line in _plain(shown, numbers_vary):
        if line == "...":
            pattern += r"(?:.*\n)*?"
        else:
            pattern += r".*?".join(map(re.escape, line.split("..."))) + r"\n"
    lines = "".join(f"{line}\n" for line in _plain(printed, numbers_vary))
    return re.fullmatch(pattern, lines) is not None


def _plain(text: str, numbers_vary: bool) -> Iterator[str]:
    """The lines of a text without what differs from run to run."""
    for pattern, stands_for in _VARIES:
        text = pattern.sub(stands_for, text)
    if numbers_vary:
        text = _NUMBER.sub("N", text)
    return (" ".join(line.split()) for line in text.splitlines() if line.strip())
