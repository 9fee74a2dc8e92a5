"""Certificates and a token for servers and clients of a test."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

TOKEN = "a token of the tests"


@dataclass(frozen=True)
class Guard:
    """Files in one folder, and how to name them to servers and clients."""

    folder: Path

    @classmethod
    def made_in(cls, folder: Path, days: int = 1) -> Self:
        """A new authority with its certificates; 0 days make them expired from the start."""
        pytest.importorskip("cryptography")
        from madrpc.cli.certificates import make_certificates

        folder.mkdir(exist_ok=True)
        for name, content in make_certificates([], days).items():
            (folder / name).write_bytes(content)
        (folder / "token").write_text(f"{TOKEN}\n")
        return cls(folder)

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def tls_words(self) -> tuple[object, ...]:
        """Options of a server that wants and shows certificates."""
        return (
            *("--tls-ca", self["ca.pem"], "--tls-cert", self["server.pem"]),
            *("--tls-key", self["server-key.pem"]),
        )

    @property
    def server_words(self) -> tuple[object, ...]:
        """The same, and a token."""
        return (*self.tls_words, "--auth-token-file", self["token"])

    @property
    def client_words(self) -> tuple[object, ...]:
        """Options of a command that calls such a server."""
        return (
            *("--tls-ca", self["ca.pem"], "--tls-cert", self["client.pem"]),
            *("--tls-key", self["client-key.pem"], "--auth-token-file", self["token"]),
        )

    @property
    def tls_settings(self) -> dict[str, Any]:
        """Arguments of a ``Client`` that wants and shows certificates."""
        return {
            "tls_ca": self["ca.pem"],
            "tls_cert": self["client.pem"],
            "tls_key": self["client-key.pem"],
        }

    @property
    def client_settings(self) -> dict[str, Any]:
        """The same, and a token."""
        return {**self.tls_settings, "token": TOKEN}
