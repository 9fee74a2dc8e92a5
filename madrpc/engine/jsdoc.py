"""What a script's source says about the functions it registers: parameters, and the JSDoc above.

This is a scanner and no parser. It never fails and never runs the source; where it does not find a
function it says less. Its time is linear in the source, of which it reads the last ``MAX_SOURCE``
characters (bundles have what is the user's own at the end), and what it yields is bounded, so a
minified or hostile source costs little.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from madrpc.engine.jsparams import Parameter, clipped, closing, parameters_of, split

__all__ = ["MAX_FUNCTIONS", "MAX_SOURCE", "MAX_TOTAL", "Description", "describe"]

#: Characters of a source and of all of them that are looked at, and functions that are described.
MAX_SOURCE = 2**20
MAX_TOTAL = 4 * MAX_SOURCE
MAX_FUNCTIONS = 1000
_MAX_SUMMARY = 160
_MAX_DOC = 20_000
_MAX_SIGNATURE = 240
#: White space between a comment and what it is about.
_MAX_GAP = 400

#: Comments, and what may hold something that looks like one: text, and regular expressions.
_SKIP = re.compile(
    r"/\*[^*]*+(?:\*(?!/)[^*]*+)*+(?:\*/)?"
    r"|//[^\n]*"
    r'|"[^"\\\n]*+(?:\\.[^"\\\n]*+)*+"?'
    r"|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*+'?"
    r"|[(,=:\[!&|?{};][ \t]{0,8}+/(?![*/])(?:[^/\\\[\n]|\\.|\[[^\]\n]{0,80}+\]){1,80}+/",
    re.DOTALL,
)
_NAME = r"[A-Za-z_$][\w$]{0,254}+"
_REGISTER = re.compile(
    rf"\b(?:{_NAME}\s{{0,40}}\.\s{{0,40}})?register\s{{0,40}}\(\s{{0,200}}"
    r"(?:\"([^\"\\\n]{1,255})\"|'([^'\\\n]{1,255})'|`([^`\\$\n]{1,255})`)\s{0,40},\s{0,200}"
)
_FUNCTION = re.compile(
    rf"(?:\bexport\s{{1,40}})?(?:\basync\s{{1,40}})?\bfunction\s{{0,40}}\*?\s{{0,40}}({_NAME})"
    rf"\s{{0,40}}(?=\()"
)
_VARIABLE = re.compile(
    rf"(?:\bexport\s{{1,40}})?(?:\b(?:const|let|var)\s{{1,40}})?(?<![\w$])({_NAME})"
    rf"\s{{0,40}}[=:](?![=>])\s{{0,200}}"
)
#: A function's beginning as a value: up to the opening bracket, or its one bare parameter.
_VALUE = re.compile(
    rf"(?:async\b\s{{0,40}})?(?:function\b\s{{0,40}}\*?\s{{0,40}}(?:{_NAME})?\s{{0,40}}(?=\()|(?=\()"
    rf"|({_NAME})\s{{0,40}}=>)"
)
#: A method of an object literal, or a call: what follows its brackets tells.
_METHOD = re.compile(rf"(?<![\w$.])(?:async\s{{1,40}})?({_NAME})\s{{0,40}}(?=\()")
_METHOD_TRIES = 4
_BODY = re.compile(r"\)\s{0,200}\{")
_REFERENCE = re.compile(rf"(?:{_NAME}\s{{0,40}}\.\s{{0,40}}){{0,8}}({_NAME})\s{{0,40}}[,)]")
_STAR = re.compile(r"^[ \t]*\*?[ \t]?", re.MULTILINE)
_TAG = re.compile(r"^@(\w+)[ \t]*(.*)", re.DOTALL)
_DOC_NAME = re.compile(r"\s{0,40}(\[)?\s{0,40}([\w$.\[\]]{1,200}?)(?=[\]=\s]|$)")


@dataclass(frozen=True)
class Description:
    """A function as its source presents it.

    Attributes:
        signature: ``name(a, b=2)``; ``name(...)`` where the parameters are not known.
        summary: the first sentence of the comment above; empty if there is none.
        params: the named arguments it takes.
    """

    signature: str
    summary: str = ""
    params: tuple[Parameter, ...] = ()

    def to_wire(self) -> dict[str, object]:
        """As the built-in ``_methods`` answers it."""
        return {
            "signature": self.signature,
            "summary": self.summary,
            "params": [parameter.to_wire() for parameter in self.params],
        }


def describe(sources: Iterable[str], names: Iterable[str]) -> dict[str, Description]:
    """What the sources say about the functions that they register by these names.

    Every name gets a description, up to ``MAX_FUNCTIONS`` of them.
    """
    wanted = dict.fromkeys(islice(names, MAX_FUNCTIONS))
    found: dict[str, Description] = {}
    guessed: dict[str, Description] = {}
    for text in _texts(sources):
        missing = [name for name in wanted if name not in found]
        places = _registrations(text, dict.fromkeys(missing))
        targets = {place.target or name for name, place in places.items() if place.open is None}
        functions = _functions(text, targets | {*missing} - places.keys())
        for name in missing:
            if name in places:
                found[name] = _description(text, name, places[name], functions)
            elif name in functions:
                # Registered under a computed name, as in a loop over an object.
                guessed.setdefault(name, _description(text, name, None, functions))
    return {
        name: found.get(name) or guessed.get(name) or Description(_signature(name, None))
        for name in wanted
    }


def _texts(sources: Iterable[str]) -> Iterator[_Text]:
    """The sources that may register something, as far as all of them together may be read."""
    left = MAX_TOTAL
    for source in sources:
        if "register" in source and left > 0:
            part = source[-min(MAX_SOURCE, left) :]
            left -= len(part)
            yield _Text(part)


@dataclass(frozen=True)
class _Place:
    """Where a function is registered or declared.

    Attributes:
        start: of the statement, for the comment above it.
        open: offset of the bracket that opens its parameters.
        target: name of the function that is registered.
        bare: the one parameter of an arrow function without brackets.
    """

    start: int
    open: int | None = None
    target: str | None = None
    bare: str | None = None


class _Text:
    """A source whose comments are blanks, and the comments that are JSDoc."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._docs: list[tuple[int, int]] = []
        self.code = _SKIP.sub(self._blank, source)
        self._ends = [end for _, end in self._docs]

    def _blank(self, found: re.Match[str]) -> str:
        text = found[0]
        if text.startswith(("//", "/*")):
            if text.startswith("/**") and len(text) > 4:
                self._docs.append(found.span())
            # The blanks keep every offset; one character does not allow a name to run through.
            return " " * len(text)
        return text

    def doc_above(self, start: int) -> str:
        """The comment that ends right above an offset; empty if there is none."""
        at = bisect_right(self._ends, start) - 1
        if at < 0:
            return ""
        begin, end = self._docs[at]
        if start - end > _MAX_GAP or self.code[end:start].strip():
            return ""
        return self._source[begin + 3 : min(end - 2, begin + _MAX_DOC)]


def _registrations(text: _Text, wanted: Collection[str]) -> dict[str, _Place]:
    """The first ``register`` of each wanted name that says its name in so many words."""
    places: dict[str, _Place] = {}
    for found in _REGISTER.finditer(text.code):
        name = found[1] or found[2] or found[3]
        if name in wanted and name not in places:
            places[name] = _value(text.code, found.start(), found.end())
    return places


def _value(code: str, start: int, at: int) -> _Place:
    """The function that is written, or named, at an offset."""
    function = _VALUE.match(code, at)
    if function is not None:
        bare = function[1]
        return _Place(start, function.end() if bare is None else at, bare=bare)
    reference = _REFERENCE.match(code, at)
    return _Place(start, target=reference[1] if reference is not None else None)


def _functions(text: _Text, wanted: set[str]) -> dict[str, _Place]:
    """Functions by name: declarations first, then variables and properties that hold one."""
    places: dict[str, _Place] = {}
    if not wanted:
        return places
    for found in _FUNCTION.finditer(text.code):
        if found[1] in wanted:
            places.setdefault(found[1], _Place(found.start(), found.end()))
    for found in _VARIABLE.finditer(text.code):
        if found[1] in wanted and found[1] not in places:
            place = _value(text.code, found.start(), found.end())
            if place.open is not None:
                places[found[1]] = place
    _methods(text.code, dict.fromkeys(wanted - places.keys(), _METHOD_TRIES), places)
    return places


def _methods(code: str, tries: dict[str, int], places: dict[str, _Place]) -> None:
    """Add methods of object literals, each looked for in the first few places with its name."""
    for found in _METHOD.finditer(code) if tries else ():
        name = found[1]
        if not tries.get(name):
            continue
        tries[name] -= 1
        end = closing(code, found.end())
        if end is not None and _BODY.match(code, end):
            places[name] = _Place(found.start(), found.end())
            tries[name] = 0


def _description(
    text: _Text, name: str, registered: _Place | None, functions: dict[str, _Place]
) -> Description:
    place = registered
    doc = text.doc_above(registered.start) if registered is not None else ""
    if place is None or place.open is None:
        place = functions.get((place.target if place is not None else None) or name)
    if not doc and place is not None:
        doc = text.doc_above(place.start)
    comment = _parse_doc(doc)
    params = _parameters(text.code, place)
    if params is None or not params.known:
        described = tuple(comment.params.values())
        return Description(_signature(name, described or None), comment.summary, described)
    merged = tuple(_merged(parameter, comment) for parameter in params.listed)
    return Description(_signature(name, merged), comment.summary, merged)


@dataclass(frozen=True)
class _Parameters:
    known: bool
    listed: tuple[Parameter, ...] = ()


def _parameters(code: str, place: _Place | None) -> _Parameters | None:
    """The named arguments a function takes apart; not known where it takes one object whole."""
    if place is None or place.open is None:
        return None
    if place.bare is not None:
        return _Parameters(known=False)
    end = closing(code, place.open)
    if end is None:
        return None
    first = next(iter(split(code[place.open + 1 : end])), "").strip()
    if not first:
        return _Parameters(known=True)
    if not first.startswith("{"):
        return _Parameters(known=False)
    inner = closing(first, 0)
    return None if inner is None else _Parameters(True, parameters_of(first[1:inner]))


def _merged(parameter: Parameter, comment: _Comment) -> Parameter:
    """What the code says about a parameter, with what only the comment says."""
    told = comment.params.get(parameter.name)
    if told is None:
        return parameter
    return Parameter(
        parameter.name,
        parameter.default,
        told.type,
        parameter.default is None and (told.optional or told.default is not None),
        told.text,
    )


def _signature(name: str, params: Iterable[Parameter] | None) -> str:
    inside = "..." if params is None else ", ".join(map(str, params))
    return clipped(f"{name}({inside})", _MAX_SIGNATURE)


# ------------------------------------------------------------------ comments


@dataclass
class _Comment:
    summary: str = ""
    params: dict[str, Parameter] = field(default_factory=dict)


def _parse_doc(doc: str) -> _Comment:
    comment = _Comment()
    for block in _blocks(_STAR.sub("", doc)):
        tag = _TAG.match(block)
        if tag is None:
            comment.summary = comment.summary or _summary(block)
        elif tag[1] in ("summary", "description", "desc"):
            comment.summary = comment.summary or _summary(tag[2])
        elif tag[1] in ("param", "arg", "argument"):
            for parameter in _documented(tag[2]):
                comment.params.setdefault(parameter.name, parameter)
    return comment


def _blocks(text: str) -> Iterator[str]:
    """The text before the first tag, and each tag with its text."""
    block: list[str] = []
    for line in text.splitlines():
        if line.startswith("@") and block:
            yield "\n".join(block).strip()
            block = []
        block.append(line.rstrip())
    yield "\n".join(block).strip()


def _summary(text: str) -> str:
    paragraph = " ".join(text.partition("\n\n")[0].split())
    sentence = re.split(r"(?<=[.!?]) (?=[A-Z`'\"(])", paragraph, maxsplit=1)[0]
    return clipped(sentence.removesuffix("."), _MAX_SUMMARY)


def _documented(text: str) -> Iterator[Parameter]:
    """The parameters of one ``@param``: a plain one, or the properties of an object's type."""
    kind = ""
    if text.startswith("{"):
        end = closing(text, 0)
        if end is None:
            return
        kind, text = text[1:end].strip(), text[end + 1 :]
    if kind.startswith("{") and (end := closing(kind, 0)) is not None:
        yield from parameters_of(kind[1:end], typed=True)
        return
    found = _DOC_NAME.match(text)
    if found is None:
        return
    rest = text[found.end() :].strip()
    default = None
    if found[1]:
        inside, _, rest = rest.partition("]")
        default = inside.removeprefix("=").strip() or None
    name = found[2].rpartition(".")[2]
    if kind.lower() in ("object", "*") and "." not in found[2]:
        return
    words = " ".join(rest.strip().removeprefix("-").split())
    optional = bool(found[1]) or kind.endswith("=")
    yield Parameter.bounded(name, default, kind.removesuffix("="), optional, words)
