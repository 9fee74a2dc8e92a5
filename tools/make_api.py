"""Write docs/api.md, the reference of madrpc's public names, from their docstrings.

Usage: make_api.py [FILE]
"""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import madrpc  # noqa: E402
from madrpc.errors import ERRORS  # noqa: E402

HEAD = """\
# Python API

Everything that `import madrpc` offers. The [tutorial](tutorial.md) shows it at work, the
[cookbook](cookbook.md) what it is good for. `madrpc.dask` is [a page of its own](dask.md).
"""
CLASSES = ("Client", "AsyncClient", "LocalCluster", "Reply", "Receipt", "Address")
#: What the page calls an object of a class.
VARIABLES = {"Client": "client", "AsyncClient": "client", "LocalCluster": "cluster"}
#: Names of types that say less than what they stand for.
ALIASES = {
    "Args": "Mapping[str, Any] | None",
    "Iterable[Args]": "Iterable[Mapping[str, Any] | None]",
    "Iterable[Args] | AsyncIterable[Args]": "Iterable | AsyncIterable",
    "CallFuture": "concurrent.futures.Future",
    "LoopFuture": "asyncio.Future",
    "FunctionExecutor": "concurrent.futures.Executor",
    "list[str] | Descriptions": "list[str] | dict[str, dict]",
}
WIDTH = 92
WRAPPING = {"break_long_words": False, "break_on_hyphens": False}
TITLES = {"Args": "Arguments"}
_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):\n((?: .*\n|\n)*)", re.M)
_ITEM = re.compile(r"^    (\w+): (.*(?:\n      .*)*)", re.M)


def page() -> str:
    """The whole page."""
    missing = set(madrpc.__all__) - {*CLASSES, *ERRORS, "AddressError", "__version__"}
    if missing:
        raise SystemExit(f"make_api.py has no place for {', '.join(sorted(missing))}")
    parts = [HEAD, *(part for name in CLASSES for part in _class(name)), *_errors(), *_rest()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _class(name: str) -> Iterator[str]:
    kind = getattr(madrpc, name)
    yield f"## {name}\n"
    yield f"```python\n{_call_of(name, kind)}\n```\n"
    yield _prose(kind)
    for member, value in _members(kind):
        yield f"### {name}.{member}\n"
        if isinstance(value, property):
            yield f"A property. {_prose(value)}"
        else:
            prefix = "await " if inspect.iscoroutinefunction(value) else ""
            called = _call_of(f"{VARIABLES[name]}.{member}", value)
            yield f"```python\n{prefix}{called}\n```\n"
            yield _prose_unless_known(name, member, value)


def _prose_unless_known(name: str, member: str, value: Any) -> str:
    """A docstring, without the arguments that another class has explained already."""
    text = _prose(value)
    if name != "AsyncClient":
        return text
    known = _prose(getattr(madrpc.Client, member, None))
    shared = _section(text, "Arguments") and _section(known, "Arguments")
    if text == known:
        return f"As `Client.{member}`.\n"
    if not shared:
        return text
    text = text.replace(
        _section(text, "Arguments"), f"Arguments are those of `Client.{member}`.\n\n"
    )
    return text.replace(_section(known, "Raises"), "")


def _section(text: str, title: str) -> str:
    """One section with its title, or nothing."""
    found = re.search(rf"\*\*{title}\*\*\n\n(?:(?:- |  ).*\n)*\n?", text)
    return found[0] if found else ""


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Public methods and properties with a docstring, in the order of the source."""
    seen: dict[str, Any] = {}
    for base in reversed(kind.__mro__[:-1]):
        if not base.__module__.startswith("madrpc"):
            continue
        for name, value in vars(base).items():
            wanted = isinstance(value, property) or inspect.isfunction(value)
            if wanted and not name.startswith("_") and inspect.getdoc(value):
                seen.pop(name, None)
                seen[name] = value
    yield from seen.items()


def _call_of(name: str, function: Any) -> str:
    """How something is called, on one line if it fits."""
    if hasattr(function, "_fields"):
        return f"{name}({', '.join(function._fields)})"
    signature = inspect.signature(function)
    words: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in words:
            words.append("*")
        words.append(_parameter(parameter))
    result = signature.return_annotation
    known = isinstance(result, str) and result not in ("None", "Any")
    arrow = f" -> {ALIASES.get(result, result)}" if known and not inspect.isclass(function) else ""
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){arrow}"


def _parameter(parameter: inspect.Parameter) -> str:
    """A parameter with its type, as the source has it, and its default."""
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    text = f"{stars}{parameter.name}"
    if parameter.annotation == "Timeout":
        return f"{text}: float | None = client.timeout"
    if isinstance(parameter.annotation, str):
        text += f": {ALIASES.get(parameter.annotation, parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {parameter.default!r}"
    return text


def _prose(thing: Any) -> str:
    """A docstring as Markdown: its sections become lists."""
    text = (inspect.getdoc(thing) or "") + "\n"
    text = _SECTION.sub(
        lambda match: f"**{TITLES.get(match[1], match[1])}**\n\n{_list(match[2])}\n", text
    )
    text = re.sub(r"``([^`]*)``", r"`\1`", text)
    return re.sub(r"^::\n((?:\n|    .*\n)*)", _code, text, flags=re.M)


def _code(match: re.Match[str]) -> str:
    return f"```python\n{textwrap.dedent(match[1]).strip()}\n```\n\n"


def _list(items: str) -> str:
    lines = []
    for name, text in _ITEM.findall(items):
        item = f"- `{name}`: {' '.join(text.split())}"
        lines.append(textwrap.fill(item, 108, subsequent_indent="  ", **WRAPPING) + "\n")
    return "".join(lines)


def _errors() -> Iterator[str]:
    """The tree of errors as one table, and what all of them have."""
    yield "## Errors\n"
    yield (
        "Each is a `MadrpcError` and can be pickled. `CallTimeout` is a `TimeoutError` too,\n"
        "`ClientClosed` a `ConnectionFailed`. The numbers are those of JSON-RPC; a command that\n"
        "an error ends has the exit status of the column `exit`.\n"
    )
    yield "| error | meaning | retry | exit | code |\n|---|---|---|---|---|"
    for name, kind in ERRORS.items():
        meaning = re.sub(r"``([^`]*)``", r"`\1`", (kind.__doc__ or "").splitlines()[0])
        retry = "yes" if kind.retryable else "no"
        yield f"| `{name}` | {meaning} | {retry} | {kind.exit_code} | {kind.code} |"
    yield ""
    for name in ("MadrpcError", "JavaScriptError"):
        yield f"### {name}\n"
        yield _prose(ERRORS[name])
        for member, value in _members(ERRORS[name]):
            if isinstance(value, property):
                yield f"- `{member}`: {_prose(value).strip()}"
        yield ""


def _rest() -> Iterator[str]:
    yield "## Others\n"
    yield f"`AddressError`: {_prose(madrpc.AddressError).strip()} It is a `ValueError`.\n"
    yield "`__version__`: the version of madrpc, a text."
    yield ""


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "api.md"
    target.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
