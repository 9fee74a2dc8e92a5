"""What a script finds besides the language: Math.random, console, timers, codecs, crypto.

A fresh context pays for all that is put into it, so a context gets only what its sources mention,
and the larger pieces are handed over as text that is compiled when the script first touches them.
The JavaScript is in ``js/``. What the engine has itself (queueMicrotask, atob, btoa, performance)
is left alone.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["CONTROL", "WEB", "Environment", "Piece", "pieces_for"]

_JS = Path(__file__).with_name("js")


def _read(name: str) -> str:
    """A file of ``js/`` without comments and indentation, and ending where an expression ends."""
    lines = (line.strip() for line in (_JS / f"{name}.js").read_text(encoding="utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//")).rstrip(";")


@dataclass(frozen=True, slots=True)
class Piece:
    """Globals that come from one source: their names, separated by spaces, and the source."""

    names: str
    source: str


#: Value: the function that defines pieces and speaks with them. See ``js/control.js``.
CONTROL: Final = _read("control")
#: Globals that QuickJS has itself. See ``js/web.js``.
WEB: Final = _read("web")
_RANDOM: Final = _read("random")
_INSPECT: Final = _read("inspect")
_CONSOLE: Final = Piece("console", _read("console"))
_CRYPTO: Final = Piece("crypto", _read("crypto"))
_PIECES: Final = (
    _CONSOLE,
    Piece("setTimeout setInterval clearTimeout clearInterval", _read("timers")),
    Piece("structuredClone", _read("clone")),
    Piece("TextEncoder", _read("encoder")),
    Piece("TextDecoder", _read("decoder")),
    Piece("self", _read("self")),
    _CRYPTO,
)
_WEB_NAMES: Final = ("DOMException", "atob", "btoa", "performance", "queueMicrotask")
#: A script that compiles text at run time may be handed any name in a call's arguments.
_COMPILES_TEXT: Final = re.compile(r"\b(?:eval|Function)\b")
#: The one name that is also an everyday English and JavaScript word, or part of one.
_SELF: Final = re.compile(r"\bself\b")

#: ``madrpc.call`` in any spelling; the bare word is in half of all comments.
_CALL: Final = re.compile(r"""[.,{\['"`]\s*call\b|\bcall\s*[,}]""")

_SEED_BYTES = 48
_SEED_PERSON = b"madrpc seed 1"


@dataclass(frozen=True, slots=True)
class Environment:
    """What the contexts of one program get.

    Attributes:
        random: whether Math.random is replaced.
        calls: whether ``madrpc.call`` is there.
        web: whether it needs what QuickJS has itself and other engines lack, ``WEB``.
        pieces: globals that are compiled when the script first touches them.
    """

    random: bool
    calls: bool
    web: bool
    pieces: tuple[Piece, ...]

    @property
    def seedable(self) -> bool:
        """Whether a seed changes anything."""
        return self.random or self.has_crypto

    @property
    def has_crypto(self) -> bool:
        """Whether ``crypto`` is there."""
        return _CRYPTO in self.pieces

    def draw(self, seed: str | None) -> bytes:
        """The random bytes one context starts from, the same ones for the same seed."""
        if not self.seedable:
            return b""
        if seed is None:
            return os.urandom(_SEED_BYTES)
        text = seed.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=_SEED_BYTES, person=_SEED_PERSON).digest()

    def random_source(self, drawn: bytes) -> str:
        """JavaScript that replaces Math.random with a generator in the state drawn."""
        state = ",".join(map(repr, self.random_state(drawn)))
        return f"({_RANDOM})({state})"

    @staticmethod
    def random_state(drawn: bytes) -> tuple[float, float, float, float]:
        """The generator's three digits and its carry, from random bytes."""
        words = [int.from_bytes(drawn[at : at + 4], "little") for at in (0, 4, 8, 12)]
        a, b, d = ((2 * word + 1 - 2**32) / 2**33 for word in words[:3])
        # The carry lies between -(2091639 - 1) / 2 and as much above zero.
        return a, b, d, float(words[3] % 2091639 - 1045819)

    @staticmethod
    def crypto_key(drawn: bytes) -> str:
        """The key of ``crypto``, from random bytes."""
        return drawn[16:].hex()

    def data_for(self, piece: Piece, drawn: bytes) -> str:
        """What the piece gets with its source."""
        if piece is _CRYPTO:
            return self.crypto_key(drawn)
        return _INSPECT if piece is _CONSOLE else ""


def pieces_for(sources: Iterable[str]) -> Environment:
    """What contexts of these sources need.

    A name counts as used where it appears at all, in a comment or a text too: that costs little and
    misses only names that are put together at run time (``Math["ran" + "dom"]``), which then find
    the engine's own Math.random and nothing else.
    """
    text = "\n".join(sources)
    anything = _COMPILES_TEXT.search(text) is not None
    pieces = tuple(piece for piece in _PIECES if anything or _mentions(text, piece))
    return Environment(
        random=anything or "random" in text,
        calls=anything or _CALL.search(text) is not None,
        # The pieces build on them.
        web=anything or bool(pieces) or any(name in text for name in _WEB_NAMES),
        pieces=pieces,
    )


def _mentions(text: str, piece: Piece) -> bool:
    if piece.names == "self":
        return _SELF.search(text) is not None
    return any(name in text for name in piece.names.split())
