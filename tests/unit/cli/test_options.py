from __future__ import annotations

import argparse
from typing import Any

import pytest

from madrpc.address import Address
from madrpc.cli.options import (
    add_client_options,
    add_option,
    add_server_options,
    address,
    bind_address,
    positive_float,
    positive_int,
)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch):
    for name in ("SIZE", "NAMES", "NODES", "LOG_LEVEL", "MAX_FRAME", "TIMEOUT", "DRAIN_TIMEOUT"):
        monkeypatch.delenv(f"MADRPC_{name}", raising=False)


def parse(*words: str, **settings: Any) -> Any:
    """What ``--size`` is after these words."""
    parser = argparse.ArgumentParser()
    given = {"type": int, "default": 1, **settings}
    if "action" in given:
        given = {"action": given["action"]}
    add_option(parser, "-s", "--size", help="how much", **given)
    return parser.parse_args(words).size


def refused(capsys: pytest.CaptureFixture[str], make: Any, *words: str) -> str:
    """What a parser says when it refuses the words."""
    with pytest.raises(SystemExit) as caught:
        make(*words)
    assert caught.value.code == 2
    return capsys.readouterr().err


# -------------------------------------------------------- flag, environment


def test_the_environment_goes_over_the_default(monkeypatch):
    assert parse() == 1
    monkeypatch.setenv("MADRPC_SIZE", "2")
    assert parse() == 2


@pytest.mark.parametrize("words", [["-s", "3"], ["--size", "3"], ["--size=3"]])
def test_a_flag_goes_over_the_environment(monkeypatch, words):
    monkeypatch.setenv("MADRPC_SIZE", "2")
    assert parse(*words) == 3


def test_a_bad_value_in_the_environment_is_refused_like_a_flag(monkeypatch, capsys):
    monkeypatch.setenv("MADRPC_SIZE", "much")
    assert "-s/--size" in refused(capsys, parse)
    monkeypatch.setenv("MADRPC_SIZE", "0")
    message = refused(capsys, lambda: parse(type=positive_int))
    assert "'0' is not a whole number above 0" in message


def test_an_empty_variable_is_as_good_as_none(monkeypatch):
    monkeypatch.setenv("MADRPC_SIZE", "")
    assert parse(default=3, type=int) == 3
    assert parse(action="append", type=int) is None


def test_the_variable_is_named_after_the_long_flag(monkeypatch):
    monkeypatch.setenv("MADRPC_DRAIN_TIMEOUT", "5")
    parser = argparse.ArgumentParser()
    add_server_options(parser)
    assert parser.parse_args([]).drain_timeout == 5.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1", True), ("true", True), ("YES", True), ("on", True), ("0", False), ("", False),
     ("no", False), ("Off", False), ("false", False)],
)  # fmt: skip
def test_a_switch_from_the_environment(monkeypatch, text, expected):
    monkeypatch.setenv("MADRPC_SIZE", text)
    assert parse(action="store_true") is expected


def test_a_switch_that_is_neither_on_nor_off_is_refused(monkeypatch, capsys):
    monkeypatch.setenv("MADRPC_SIZE", "maybe")
    message = refused(capsys, lambda: parse(action="store_true"))
    assert "MADRPC_SIZE: 'maybe' is neither 1 nor 0" in message


def test_help_shows_the_default_and_the_variable(monkeypatch):
    monkeypatch.setenv("MADRPC_SIZE", "77")
    parser = argparse.ArgumentParser()
    add_option(parser, "--size", default=5, help="100% of it")
    text = parser.format_help()
    assert "100% of it (default: 5; environment: MADRPC_SIZE)" in " ".join(text.split())
    assert "77" not in text


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"default": None}, "(environment: MADRPC_SIZE)"),
        ({"default": None, "shown_default": "all"}, "(default: all; environment: MADRPC_SIZE)"),
        ({"default": 0}, "(default: 0; environment: MADRPC_SIZE)"),
    ],
)
def test_help_words_the_default(settings, shown):
    parser = argparse.ArgumentParser()
    add_option(parser, "--size", help="how much", **settings)
    assert shown in parser.format_help()


def names(*words: str, **settings: Any) -> Any:
    parser = argparse.ArgumentParser()
    settings = settings or {"nargs": "+", "action": "extend"}
    add_option(parser, "-n", "--names", help="who", **settings)
    return parser.parse_args(words).names


def test_a_list_from_flags():
    assert names() is None
    assert names("-n", "a", "b", "-n", "c") == ["a", "b", "c"]


def test_a_list_from_the_environment(monkeypatch):
    monkeypatch.setenv("MADRPC_NAMES", "a.js:/b/c.js")
    assert names() == ["a.js", "/b/c.js"]
    assert names(action="append") == ["a.js", "/b/c.js"]


@pytest.mark.parametrize("settings", [{"nargs": "+", "action": "extend"}, {"action": "append"}])
def test_a_list_from_flags_goes_over_the_environment(monkeypatch, settings):
    monkeypatch.setenv("MADRPC_NAMES", "a:b")
    assert names("-n", "c", **settings) == ["c"]
    assert names("-n", "c", "-n", "d", **settings) == ["c", "d"]


def nodes(*words: str) -> Any:
    parser = argparse.ArgumentParser()
    add_option(parser, "--nodes", type=address, action="append", help="where")
    return parser.parse_args(words).nodes


def test_a_list_of_addresses_from_the_environment(monkeypatch):
    monkeypatch.setenv("MADRPC_NODES", "127.0.0.1:9000,[::1]:1")
    assert nodes() == [Address("127.0.0.1", 9000), Address("::1", 1)]
    assert nodes("--nodes", "h:5", "--nodes", "h:6") == [Address("h", 5), Address("h", 6)]


def test_a_bad_address_in_the_environment_is_refused_with_its_variable(monkeypatch, capsys):
    monkeypatch.setenv("MADRPC_NODES", "127.0.0.1:9000,h")
    assert "MADRPC_NODES: 'h' has no port" in refused(capsys, nodes)


# ------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (positive_int, "1", 1),
        (positive_int, " 12 ", 12),
        (positive_float, "0.5", 0.5),
        (positive_float, "1e3", 1000.0),
        (positive_float, "3", 3.0),
        (address, "h:80", Address("h", 80)),
        (address, ":80", Address("127.0.0.1", 80)),
        (address, "[::1]:80", Address("::1", 80)),
        (bind_address, "h:80", Address("h", 80)),
        (bind_address, ":80", Address("0.0.0.0", 80)),
        (bind_address, "h", Address("h", 0)),
        (bind_address, "", Address("0.0.0.0", 0)),
    ],
)
def test_values_that_are_taken(kind, text, value):
    found = kind(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((positive_int, text) for text in ("0", "-1", "1.5", "x", "")),
        *((positive_float, text) for text in ("0", "-1", "nan", "inf", "x", "")),
        *((address, text) for text in ("h", "h:x", "h:65536", "::1", "")),
        *((bind_address, text) for text in ("h:x", "::1:80")),
    ],
)
def test_values_that_are_refused_by_name(kind, text):
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        kind(text)
    assert repr(text) in str(caught.value)


# ------------------------------------------------------------ sets of options


def server_options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_server_options(parser)
    return parser.parse_args(words)


def test_server_options_have_defaults():
    assert vars(server_options()) == {
        "http": None,
        "max_frame": 16 * 2**20,
        "drain_timeout": 30.0,
        "log_level": "info",
        "log_format": "text",
        "rate_limit": None,
        "auth_token_file": None,
        "tls_cert": None,
        "tls_key": None,
        "tls_ca": None,
    }


def test_server_options_are_read():
    words = ["--max-frame", "1024", "--drain-timeout", "2", "--log-level", "debug"]
    found = server_options(*words, "--log-format", "json")
    assert (found.max_frame, found.drain_timeout) == (1024, 2.0)
    assert (found.log_level, found.log_format) == ("debug", "json")


@pytest.mark.parametrize("size", [1024, 2**30])
def test_a_frame_limit_at_its_bounds_is_taken(size):
    assert server_options("--max-frame", str(size)).max_frame == size


@pytest.mark.parametrize("size", ["1023", str(2**30 + 1), "-5", "x"])
def test_a_frame_limit_out_of_bounds_is_refused(capsys, size):
    message = refused(capsys, server_options, f"--max-frame={size}")
    assert "is not a number of bytes from 1024 to 1073741824" in message


@pytest.mark.parametrize("source", ["flag", ("environment")])
def test_an_unknown_log_level_is_refused(monkeypatch, capsys, source):
    words = ["--log-level", "loud"] if source == "flag" else []
    if source == "environment":
        monkeypatch.setenv("MADRPC_LOG_LEVEL", "loud")
    assert "loud" in refused(capsys, server_options, *words)


def test_client_options_have_a_timeout(monkeypatch):
    parser = argparse.ArgumentParser()
    add_client_options(parser)
    assert parser.parse_args([]).timeout == 60.0
    assert parser.parse_args(["-t", "0.5"]).timeout == 0.5
