from __future__ import annotations

import pytest

from madrpc.errors import InvalidArguments
from madrpc.protocol.values import MAX_DEPTH, check_args, walk


@pytest.mark.parametrize("key", [b"x", (1, 2), 1, 1.5, True, None], ids=repr)
def test_keys_that_are_not_text_are_refused(key):
    with pytest.raises(InvalidArguments) as caught:
        check_args({"a": [{key: 2}]})
    error = caught.value
    assert error.message == f"args.a[0]: the key {key!r} is not text"


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_check_args_names_text_with_a_lone_surrogate(text):
    with pytest.raises(InvalidArguments) as caught:
        check_args({"a": [text]})
    assert "lone surrogate at position" in caught.value.message
    assert caught.value.data == {"path": ["a", 0]}


def test_check_args_names_a_key_with_a_lone_surrogate():
    with pytest.raises(InvalidArguments):
        check_args({"a": {"\ud800": 1}})


def test_walking_a_cycle_ends():
    loop: list[object] = []
    loop.append(loop)
    assert max(len(path) for path, _ in walk(loop)) == MAX_DEPTH + 1


# ------------------------------------------------------------------ results
