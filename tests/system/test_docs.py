"""Every command and program in the documentation runs and prints what the page shows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import blocks_of, matches, stray_commands, unmarked
from tests.reader import reader_in
from tests.servers import ROOT, give_up

FOLDERS = ("deploy", "docs", "js_examples")
PAGES = [
    ROOT / "README.md",
    *sorted(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md")),
]
#: Pages whose blocks have a test of their own.
TESTED_ELSEWHERE = {
    "docs/api.md": "tests/system/test_api.py",
    "docs/protocol.md": "tests/wire/test_document.py",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path) -> None:
    if name_of(page) in TESTED_ELSEWHERE:
        assert (ROOT / TESTED_ELSEWHERE[name_of(page)]).is_file()
        return
    text = page.read_text(encoding="utf-8")
    assert not stray_commands(text), "put commands into ```console blocks"
    blocks = blocks_of(text)
    assert not unmarked(blocks)
    if all("not run" in block.notes for block in blocks):
        return
    with reader_in(tmp_path) as reader:
        for block in blocks:
            reader.do(block)
    if reader.left_out:
        give_up("; ".join(reader.left_out))


def anchors_of(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors_of(file), target


def test_the_comparison_has_measured_figures_only() -> None:
    measured = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    text = (ROOT / "docs" / "comparison.md").read_text(encoding="utf-8")
    figures = re.findall(r"([\d. ]*\d)(?: (?:us|ms|s))? \|", text.partition("## Measured")[2])
    assert len(figures) == 4 * 7
    for figure in figures:
        assert re.search(rf"(?<![\d.]){re.escape(figure.strip())}(?![\d.])", measured), figure


def test_every_page_is_in_the_table_of_contents() -> None:
    contents = (ROOT / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"({name_of(page)})" in contents, name_of(page)


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("8\n", "8\n", True),
        ("8\n", "9\n", False),
        ("took 12.5 ms\n", "took 1 s\n", True),
        ("at 12.5/s\n", "at 1,000/s\n", True),
        ("a   b\n", "a b\n\n", True),
        ("...\nlast\n", "first\nsecond\nlast\n", True),
        ("first\n...\n", "first\n", True),
        ("a ... c\n", "a b c\n", True),
        ("a\n", "a\nb\n", False),
        ("x.js@0123abcd\n", "x.js@ffffffff\n", True),
        ("", "something\n", False),
    ],
)
def test_output_is_compared_but_for_what_varies(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) is same


def test_numbers_vary_where_a_page_says_so() -> None:
    assert matches("in 3 parts\n", "in 4 parts\n", numbers_vary=True)
    assert not matches("in 3 parts\n", "in 4 parts\n")


def test_a_block_that_says_nothing_about_itself_is_found() -> None:
    page = "# A\n\n```yaml\na: 1\n```\n\n<!-- not run: an example -->\n```yaml\na: 1\n```\n"
    assert unmarked(blocks_of(page)) == ["line 3: say what this block is (tests/docs.py)"]
    assert stray_commands("Do:\n\n    madrpc up\n\n```console\n$ madrpc up\n```\n") == ["madrpc up"]


def test_a_terminal_is_read_command_by_command() -> None:
    (block,) = blocks_of("```console\n$ a \\\n  b\none\ntwo\n$ c\n^C\n```\n")
    found = [(step.command, step.shown) for step in block.steps]
    assert found == [("a \\\n  b", "one\ntwo\n"), ("c", ""), ("^C", "")]
