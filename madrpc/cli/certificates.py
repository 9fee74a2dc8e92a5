"""``madrpc tls init``: an authority and certificates for one cluster."""

from __future__ import annotations

import argparse
import datetime
import ipaddress
import os
import sys
from pathlib import Path
from typing import Any

__all__ = ["make_certificates", "run_tls"]

EXIT_USAGE = 2
_ALWAYS = ("localhost", "127.0.0.1", "::1")
#: A clock that is a little behind must not find the certificates not valid yet.
_EARLIER = datetime.timedelta(hours=1)
_FILES = ("ca.pem", "server.pem", "server-key.pem", "client.pem", "client-key.pem")


class _Mistake(Exception):
    """Something about the command line or the machine; the text says what to do."""


def run_tls(options: argparse.Namespace) -> int:
    """``madrpc tls``"""
    folder = Path(options.folder)
    try:
        _init(folder, options.names, options.days)
    except _Mistake as mistake:
        print(f"madrpc: {mistake}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        print(f"madrpc: cannot write to {folder}: {reason}", file=sys.stderr)
        return EXIT_USAGE
    print(f"wrote {', '.join(_FILES)} to {folder}", file=sys.stderr)
    return 0


def _init(folder: Path, names: list[str], days: int) -> None:
    files = make_certificates(names, days)
    folder.mkdir(parents=True, exist_ok=True)
    taken = [name for name in files if (folder / name).exists()]
    if taken:
        raise _Mistake(f"{folder / taken[0]} exists; choose a new folder")
    for name, content in files.items():
        _write(folder / name, content)


def _write(path: Path, content: bytes) -> None:
    """Write a file that others may read only if it is no key."""
    mode = 0o600 if path.name.endswith("-key.pem") else 0o644
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)


def make_certificates(names: list[str], days: int) -> dict[str, bytes]:
    """The content of each file, by its name.

    Args:
        names: host names and addresses of servers, besides those of this machine itself.
        days: how long the certificates are good for.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        raise _Mistake(
            "'madrpc tls' needs the package cryptography; pip install 'madrpc[tls]'"
        ) from None
    keys = {who: ec.generate_private_key(ec.SECP256R1()) for who in ("ca", "server", "client")}
    maker = _Maker(keys["ca"], days)
    return {
        "ca.pem": _pem(maker.authority()),
        "server.pem": _pem(maker.certificate("server", keys["server"], [*_ALWAYS, *names])),
        "server-key.pem": _key_pem(keys["server"]),
        "client.pem": _pem(maker.certificate("client", keys["client"], [])),
        "client-key.pem": _key_pem(keys["client"]),
    }


class _Maker:
    """Signs certificates with the authority's key."""

    def __init__(self, key: Any, days: int) -> None:
        from cryptography import x509

        self._x509 = x509
        self._key = key
        self._starts = datetime.datetime.now(datetime.UTC) - _EARLIER
        self._ends = self._starts + _EARLIER + datetime.timedelta(days=days)
        self._issuer = self._name("authority")

    def authority(self) -> Any:
        """The authority's own certificate."""
        x509 = self._x509
        builder = self._builder(self._issuer, self._key)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        return self._sign(builder.add_extension(_usage(x509, authority=True), True))

    def certificate(self, who: str, key: Any, names: list[str]) -> Any:
        """A certificate for a server or a client; servers call one another, so they are both."""
        x509 = self._x509
        purposes = [x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = self._builder(self._name(who), key)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        builder = builder.add_extension(_usage(x509, authority=False), True)
        if names:
            purposes.append(x509.oid.ExtendedKeyUsageOID.SERVER_AUTH)
            known = [_alternative(x509, name) for name in dict.fromkeys(names)]
            builder = builder.add_extension(x509.SubjectAlternativeName(known), False)
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), False)
        own = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return self._sign(builder.add_extension(own, False))

    def _builder(self, subject: Any, key: Any) -> Any:
        x509 = self._x509
        builder = x509.CertificateBuilder(
            issuer_name=self._issuer,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self._starts,
            not_valid_after=self._ends,
        )
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return builder.add_extension(identifier, False)

    def _sign(self, builder: Any) -> Any:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self._key, hashes.SHA256())

    def _name(self, who: str) -> Any:
        x509 = self._x509
        return x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, f"madrpc {who}")])


def _alternative(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name)
    except ValueError:
        raise _Mistake(f"--name {name!r} is neither an ASCII host name nor an address") from None


def _usage(x509: Any, *, authority: bool) -> Any:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    content: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return content


def _key_pem(key: Any) -> bytes:
    from cryptography.hazmat.primitives import serialization

    content: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return content
