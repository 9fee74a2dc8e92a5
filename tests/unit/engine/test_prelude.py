"""What test_engine.py does not tell about the JavaScript around a script."""

from __future__ import annotations

import re

import pytest
import quickjs

from madrpc.engine import prelude

SNIPPETS = ["HOST", "CALL", "REGISTER_CHECKS", "ASYNC", "ERROR", "IS_UNDEFINED"]


def test_every_snippet_is_listed():
    assert {*SNIPPETS, "PENDING", "THREW", "STRINGIFY_THREW"} == set(prelude.__all__)


def test_a_script_sees_one_more_global_and_that_is_madrpc():
    context = quickjs.Context()
    names = "Object.getOwnPropertyNames(globalThis).join()"
    before = set(context.eval(names).split(","))
    for snippet in SNIPPETS[:3]:
        context.eval(getattr(prelude, snippet))
    assert set(context.eval(names).split(",")) - before == {"madrpc"}


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_named_functions_are_marked_as_the_hosts(snippet):
    names = re.findall(r"\bfunction (\w+)", getattr(prelude, snippet))
    assert names
    assert all(name.startswith("__madrpc") for name in names)


def test_what_every_call_pays_for_stays_short():
    # About 4 us for each 100 characters.
    assert len(prelude.HOST) < 500
