"""Options with an environment variable each: flag over environment over default."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any

from madrpc.address import Address, AddressError, NodeSource, parse_address, parse_node_source
from madrpc.config import DEFAULT_MAX_FRAME, MAX_FRAME_CEILING, Security, TlsFiles
from madrpc.errors import Unauthenticated
from madrpc.policy.thresholds import Threshold
from madrpc.protocol.meta import is_traceparent

__all__ = [
    "add_client_options",
    "add_http",
    "add_option",
    "add_server_options",
    "address",
    "bind_address",
    "interval_ms",
    "node_source",
    "not_negative",
    "positive_float",
    "positive_int",
    "security_of",
    "share",
    "threshold",
    "traceparent",
]

_PREFIX = "MADRPC_"
#: A token is a part of a call's meta, which servers read up to 4096 bytes of.
_LONGEST_TOKEN = 1000
_ON = ("1", "true", "yes", "on")
_OFF = ("", "0", "false", "no", "off")


def add_option(
    parser: argparse.ArgumentParser,
    *flags: str,
    default: Any = None,
    shown_default: str | None = None,
    help: str,
    **settings: Any,
) -> None:
    """Add a flag whose value can also come from ``MADRPC_<NAME>``.

    Args:
        default: value without flag and variable.
        shown_default: how --help words the default, where the value itself would not tell.
    """
    name = max(flags, key=len).lstrip("-").upper().replace("-", "_")
    variable = _PREFIX + name
    # Empty is as good as not set: deployment files cannot leave a variable out.
    value = os.environ.get(variable) or default
    if settings.get("action") == "store_true":
        value = _switch(parser, variable, value)
    if "choices" in settings and value not in settings["choices"]:
        parser.error(f"{variable}: {value!r} is none of {', '.join(settings['choices'])}")
    shown = shown_default if shown_default is not None else default
    notes = [] if shown is None else [f"default: {shown}"]
    notes.append(f"environment: {variable}")
    text = f"{help} ({'; '.join(notes)})".replace("%", "%%")
    if settings.get("action") in ("append", "extend"):
        value = _list(parser, variable, value, settings.get("type"))
        settings["action"] = _Replace if settings["action"] == "append" else _ReplaceAll
    parser.add_argument(*flags, default=value, help=text, **settings)


def _switch(parser: argparse.ArgumentParser, variable: str, value: Any) -> bool:
    """A variable that stands for a flag without a value."""
    text = str(value or "").lower()
    if text in _ON or text in _OFF:
        return text in _ON
    return parser.error(f"{variable}: {value!r} is neither 1 nor 0")


class _Collect(argparse.Action):
    """Collects a repeated flag; the first one replaces the default instead of adding to it."""

    def collect(self, namespace: argparse.Namespace, values: list[Any]) -> None:
        found = getattr(namespace, self.dest, None)
        known = [] if found is self.default or found is None else found
        setattr(namespace, self.dest, [*known, *values])


class _Replace(_Collect):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        self.collect(namespace, [values])


class _ReplaceAll(_Collect):
    def __call__(
        self, parser: Any, namespace: argparse.Namespace, values: Any, option: Any = None
    ) -> None:
        self.collect(namespace, values)


def _list(
    parser: argparse.ArgumentParser, variable: str, value: Any, kind: Callable[[str], Any] | None
) -> Any:
    """A variable that stands for a repeated flag: paths as in PATH, addresses with commas."""
    if not isinstance(value, str):
        return value
    if kind is None:
        return value.split(os.pathsep)
    try:
        return [kind(text) for text in value.split(",")]
    except argparse.ArgumentTypeError as error:
        return parser.error(f"{variable}: {error}")


def _checked(kind: Callable[[str], Any], accept: Callable[[Any], bool], words: str) -> Any:
    def convert(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not accept(value):
            raise argparse.ArgumentTypeError(f"{text!r} is not {words}")
        return value

    return convert


positive_int = _checked(int, lambda value: value > 0, "a whole number above 0")
positive_float = _checked(float, lambda value: 0 < value < float("inf"), "a number above 0")
interval_ms = _checked(
    int, lambda value: 10 <= value <= 3_600_000, "milliseconds from 10 to 3600000"
)
not_negative = _checked(float, lambda value: 0 <= value < float("inf"), "a number from 0")
_port_or_frame = _checked(
    int,
    lambda value: 1024 <= value <= MAX_FRAME_CEILING,
    f"a number of bytes from 1024 to {MAX_FRAME_CEILING}",
)


def share(text: str) -> float:
    """A part of a whole: ``10%`` or ``0.1``."""
    try:
        value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share such as 10% or 0.1")
    return value


def address(text: str) -> Address:
    """A server's address; the host may be left out."""
    try:
        return parse_address(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def node_source(text: str) -> NodeSource:
    """An address, ``file:PATH`` or ``dns://NAME:PORT``."""
    try:
        return parse_node_source(text)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def bind_address(text: str) -> Address:
    """An address to listen on; a bare ``:port`` is every interface."""
    try:
        return parse_address(text, default_host="0.0.0.0", default_port=0)
    except AddressError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def threshold(text: str) -> Threshold:
    """A condition such as ``p95>50ms``."""
    try:
        return Threshold.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def traceparent(text: str) -> str:
    """A W3C traceparent."""
    if not is_traceparent(text):
        raise argparse.ArgumentTypeError(
            f"{text!r:.100} is no W3C traceparent; write 00-<32 hex>-<16 hex>-<2 hex> in lower case"
        )
    return text


def add_http(parser: argparse.ArgumentParser) -> None:
    """The port for HTTP."""
    add_option(
        parser,
        "--http",
        type=bind_address,
        metavar="HOST:PORT",
        help="address of the dashboard, JSON-RPC 2.0, metrics and health; port 0 takes a free one",
    )


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """What both servers understand."""
    add_option(
        parser,
        "--max-frame",
        type=_port_or_frame,
        metavar="BYTES",
        default=DEFAULT_MAX_FRAME,
        help="largest message taken and sent",
    )
    add_option(
        parser,
        "--drain-timeout",
        type=positive_float,
        metavar="S",
        default=30.0,
        help="seconds that accepted calls get to finish after SIGTERM",
    )
    add_security_options(
        parser,
        "callers must show this server",
        "this server's certificate; with it, connections use TLS",
        "authority that certificates must come from; callers then need one too",
    )
    add_http(parser)
    add_option(
        parser,
        "--rate-limit",
        type=positive_float,
        metavar="N",
        help="calls a second that one client address may make; more are told to come back later",
    )
    add_option(
        parser,
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        default="info",
        help="least important message that is logged",
    )
    add_option(
        parser,
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="form of a log line on stderr",
    )


def add_client_options(parser: argparse.ArgumentParser, timeout_s: float = 60.0) -> None:
    """What every command that calls a server understands."""
    add_option(
        parser,
        "-t",
        "--timeout",
        type=positive_float,
        metavar="S",
        default=timeout_s,
        help="seconds until the call gives up",
    )
    add_security_options(
        parser,
        "the server wants",
        "this client's certificate, for servers that want one",
        "authority that the server's certificate must come from; with it, the connection uses TLS",
    )


def add_security_options(
    parser: argparse.ArgumentParser, token: str, cert: str, authority: str
) -> None:
    """A token and certificates, in files: what is on a command line, every user can read."""
    add_option(parser, "--auth-token-file", metavar="FILE", help=f"file whose first line {token}")
    add_option(parser, "--tls-cert", metavar="FILE", help=f"{cert} (PEM)")
    add_option(
        parser, "--tls-key", metavar="FILE", help="its private key, if not in the same file (PEM)"
    )
    add_option(parser, "--tls-ca", metavar="FILE", help=f"{authority} (PEM)")


def security_of(options: argparse.Namespace) -> Security:
    """What these options say.

    Raises:
        Unauthenticated: the token file is no good.
    """
    token = _read_token(options.auth_token_file) if options.auth_token_file else None
    files = TlsFiles(options.tls_cert, options.tls_key, options.tls_ca)
    if files.key is not None and files.cert is None:
        raise Unauthenticated("--tls-key without --tls-cert; a key is of no use alone")
    return Security(token, None if files == TlsFiles() else files)


def _read_token(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            token = file.readline(_LONGEST_TOKEN + 1).strip()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise Unauthenticated(f"cannot read the token file {path}: {reason}") from None
    except UnicodeDecodeError:
        raise Unauthenticated(f"the token file {path} is not UTF-8 text") from None
    if not token:
        raise Unauthenticated(
            f"the token file {path} has an empty first line; fill it with 'openssl rand -hex 32'"
        )
    if len(token) > _LONGEST_TOKEN:
        raise Unauthenticated(f"the token in {path} is longer than {_LONGEST_TOKEN} characters")
    return token
