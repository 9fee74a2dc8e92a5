"""Commands that ask a running server: call, health, info, methods."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from typing import Any

from madrpc.cli.arguments import parse_arguments
from madrpc.cli.info import info_lines
from madrpc.cli.methods import print_methods
from madrpc.cli.options import security_of
from madrpc.client.client import Client
from madrpc.config import TlsFiles
from madrpc.errors import MadrpcError

__all__ = ["client_of", "print_json", "run_call", "run_health", "run_info", "run_methods"]

EXIT_UNFIT = 3


def print_json(value: Any) -> None:
    """JSON on stdout: indented for a person, one line for a program."""
    indent = 2 if sys.stdout.isatty() else None
    print(json.dumps(value, ensure_ascii=False, indent=indent))


def run_call(options: argparse.Namespace) -> int:
    """``madrpc call``"""
    args = parse_arguments(options.args)
    settings = {"seed": options.seed, "trace": options.trace}
    with client_of(options) as client:
        if not options.time:
            print_json(client.call(options.method, args, **settings))
            return 0
        try:
            result, receipt = client.call(options.method, args, **settings, receipt=True)
        except MadrpcError as error:
            if error.receipt is not None:
                print(f"time {error.receipt}", file=sys.stderr)
            raise
    print_json(result)
    print(f"time {receipt}", file=sys.stderr)
    return 0


def run_methods(options: argparse.Namespace) -> int:
    """``madrpc methods``"""
    with client_of(options) as client:
        details = client.methods(details=True)
    if options.json or options.details:
        print_json(details if options.details else list(details))
    elif options.names:
        print("".join(f"{name}\n" for name in details), end="")
    else:
        print_methods(details)
    return 0


def run_info(options: argparse.Namespace) -> int:
    """``madrpc info``"""
    with client_of(options) as client:
        info = client.info()
    if options.json:
        print_json(info)
    else:
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        print("\n".join(info_lines(info, width)))
    return 0


def run_health(options: argparse.Namespace) -> int:
    """``madrpc health``"""
    with client_of(options) as client:
        status = client.call("_health")["status"]
    print(status)
    return 0 if options.live or status == "up" else EXIT_UNFIT


def client_of(options: argparse.Namespace) -> Client:
    """A client of the server that the options name."""
    security = security_of(options)
    tls = security.tls or TlsFiles()
    return Client(
        str(options.address),
        timeout=options.timeout,
        token=security.token,
        tls_ca=tls.ca,
        tls_cert=tls.cert,
        tls_key=tls.key,
    )
