"""The manual pages: the real parsers, with the sections that --help does not have."""

from __future__ import annotations

import argparse

from madrpc.cli.parsers import COMMANDS, build_parser

__all__ = [
    "bench",
    "call",
    "check",
    "completion",
    "deploy",
    "doctor",
    "health",
    "info",
    "init",
    "madrpc",
    "map",
    "methods",
    "node",
    "orchestrator",
    "run",
    "tls",
    "top",
    "types",
    "up",
]

_EXIT_STATUS = (
    (0, "Success."),
    (1, "The function threw, or ran into a limit of the node."),
    (2, "Wrong usage, bad arguments, an unknown function, or a script that does not load."),
    (3, "Nothing to connect to, no node that could run the function, or a server in poor health."),
    (4, "The deadline passed."),
    (5, "A threshold was missed."),
    (6, "The token or the certificate was not accepted."),
    (130, "Interrupted by Ctrl-C."),
)


def madrpc() -> argparse.ArgumentParser:
    """The page about all commands."""
    parser = build_parser()
    parser.epilog = None
    summaries = [(f"madrpc-{name}(1)", f"{line}.") for name, (_, line) in COMMANDS.items()]
    return _dress(
        parser,
        "JavaScript functions as a service on every core",
        ("commands", _list([(name, text[0].upper() + text[1:]) for name, text in summaries])),
    )


def node() -> argparse.ArgumentParser:
    """The page about ``madrpc node``."""
    return _command("node")


def orchestrator() -> argparse.ArgumentParser:
    """The page about ``madrpc orchestrator``."""
    return _command("orchestrator")


def up() -> argparse.ArgumentParser:
    """The page about ``madrpc up``."""
    return _command("up")


def call() -> argparse.ArgumentParser:
    """The page about ``madrpc call``."""
    return _command("call")


def check() -> argparse.ArgumentParser:
    """The page about ``madrpc check``."""
    return _command("check")


def run() -> argparse.ArgumentParser:
    """The page about ``madrpc run``."""
    return _command("run")


def info() -> argparse.ArgumentParser:
    """The page about ``madrpc info``."""
    return _command("info")


def health() -> argparse.ArgumentParser:
    """The page about ``madrpc health``."""
    return _command("health")


def methods() -> argparse.ArgumentParser:
    """The page about ``madrpc methods``."""
    return _command("methods")


def deploy() -> argparse.ArgumentParser:
    """The page about ``madrpc deploy``."""
    return _command("deploy")


def tls() -> argparse.ArgumentParser:
    """The page about ``madrpc tls``."""
    return _command("tls")


def map() -> argparse.ArgumentParser:
    """The page about ``madrpc map``."""
    return _command("map")


def bench() -> argparse.ArgumentParser:
    """The page about ``madrpc bench``."""
    return _command("bench")


def top() -> argparse.ArgumentParser:
    """The page about ``madrpc top``."""
    return _command("top")


def doctor() -> argparse.ArgumentParser:
    """The page about ``madrpc doctor``."""
    return _command("doctor")


def completion() -> argparse.ArgumentParser:
    """The page about ``madrpc completion``."""
    return _command("completion")


def init() -> argparse.ArgumentParser:
    """The page about ``madrpc init``."""
    return _command("init")


def types() -> argparse.ArgumentParser:
    """The page about ``madrpc types``."""
    return _command("types")


def _command(name: str) -> argparse.ArgumentParser:
    make, summary = COMMANDS[name]
    parser = make()
    # The page's name is what people type after man.
    usage = parser.format_usage().split(":", 1)[1]
    parser.usage = " ".join(usage.split()).replace("%", "%%")
    parser.prog = f"madrpc-{name}"
    return _dress(parser, summary)


def _dress(
    parser: argparse.ArgumentParser, summary: str, *sections: tuple[str, str]
) -> argparse.ArgumentParser:
    """Add the sections; argparse-manpage looks for them in these attributes."""
    others = ", ".join(f"\\fBmadrpc-{name}\\fR(1)" for name in COMMANDS)
    status = _list([(str(number), text) for number, text in _EXIT_STATUS])
    pages = [*sections, ("exit status", status), ("see also", f"\\fBmadrpc\\fR(1), {others}")]
    parser.man_short_description = summary  # type: ignore[attr-defined]
    parser._manpage = [  # type: ignore[attr-defined]
        {"heading": heading, "content": content} for heading, content in pages
    ]
    return parser


def _list(rows: list[tuple[str, str]]) -> str:
    return "\n".join(
        f".TP\n\\fB{term.replace('-', chr(92) + '-')}\\fR\n{text}" for term, text in rows
    )
