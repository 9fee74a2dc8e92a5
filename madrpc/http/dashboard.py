"""The dashboard's page: its files joined into one answer that needs nothing else."""

from __future__ import annotations

import base64
import functools
import hashlib
from dataclasses import dataclass
from importlib import resources

__all__ = ["Page", "page"]

#: In the order in which they build on each other.
_SCRIPTS = (
    "format.js", "jsontext.js", "stream.js", "chart.js", "table.js", "recent.js", "call.js",
    "main.js",
)  # fmt: skip


@dataclass(frozen=True)
class Page:
    """One answer: what it is made of, and the headers that go with it."""

    body: bytes
    etag: str
    headers: tuple[tuple[str, str], ...]


@functools.cache
def page() -> Page:
    """The page, put together when it is first asked for."""
    folder = resources.files("madrpc.http") / "page"

    def text(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    style = text("style.css")
    script = "".join(map(text, _SCRIPTS))
    html = text("index.html")
    for mark, content in (("<style>", style), ('<script type="module">', script)):
        html = html.replace(mark, mark + content, 1)
    body = html.encode()
    etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    return Page(body, etag, _headers(style, script, etag))


def _headers(style: str, script: str, etag: str) -> tuple[tuple[str, str], ...]:
    policy = (
        "default-src 'none'",
        f"script-src '{_hash(script)}'",
        f"style-src '{_hash(style)}'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return (
        ("Cache-Control", "no-cache"),
        ("ETag", etag),
        ("Content-Security-Policy", "; ".join(policy)),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Frame-Options", "DENY"),
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
