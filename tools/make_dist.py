"""Build the source distribution and the wheel: make_dist.py [FOLDER], by default dist/.

The same source makes the same bytes on every machine and every day: files in order, nobody's
names, and one instant for all of them, SOURCE_DATE_EPOCH or else that of the last commit.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: The first instant that a zip file can hold: 1980-01-01, for a source without history.
_EARLIEST = 315532800


def instant() -> int:
    """Seconds since 1970 that stand for all files."""
    told = os.environ.get("SOURCE_DATE_EPOCH")
    if told:
        return max(int(told), _EARLIEST)
    asked = subprocess.run(
        ["git", "-C", ROOT, "log", "-1", "--format=%ct"], capture_output=True, text=True
    )
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout else _EARLIEST


def build(kind: str, source: Path, target: Path, when: int) -> Path:
    """Run the build backend, and return the one file that it made."""
    target.mkdir(parents=True, exist_ok=True)
    before = set(target.iterdir())
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "-o", target, source],
        env={**os.environ, "SOURCE_DATE_EPOCH": str(when)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    (made,) = set(target.iterdir()) - before
    return made


def repack(archive: Path, target: Path, when: int) -> Path:
    """Write the archive anew without what depends on where and when it was made."""
    plain = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=plain, mode="w") as new:
        for member in sorted(old.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = when, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    packed = target / archive.name
    with packed.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=when) as zipped:
        zipped.write(plain.getvalue())
    return packed


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "dist"
    target.mkdir(parents=True, exist_ok=True)
    for old in (*target.glob("madrpc-*.tar.gz"), *target.glob("madrpc-*.whl")):
        old.unlink()
    when = instant()
    os.umask(0o022)
    with tempfile.TemporaryDirectory() as scratch:
        packed = repack(build("sdist", ROOT, Path(scratch) / "sdist", when), target, when)
        # From the archive, as whoever installs it would: what is missing there is missed here.
        with tarfile.open(packed) as archive:
            archive.extractall(scratch, filter="data")
        unpacked = Path(scratch) / packed.name.removesuffix(".tar.gz")
        wheel = build("wheel", unpacked, target, when)
    print(f"{packed}\n{wheel}")


if __name__ == "__main__":
    main()
