"""What editors are told of the script API, checked by the TypeScript compiler, and the starter."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import EXAMPLES, ROOT, give_up, madrpc

TYPESCRIPT = "typescript@5.9.3"
TYPES = ROOT / "madrpc" / "madrpc.d.ts"
#: What mistakes look like, and the compiler's number for each.
MISTAKES = {
    'madrpc.register(1, () => 1)': "TS2345",
    'madrpc.register("x")': "TS2554",
    'madrpc.register("x", "no")': "TS2345",
    'madrpc.register("x", () => 1n)': "TS2322",
    'madrpc.register("x", /** @param {number} n */ (n) => n)': "TS2345",
    'madrpc.regster("x", () => 1)': "TS2551",
    'madrpc.call("x", 5)': "TS2345",
    'madrpc.call("x").greeting': "TS2339",
    'fetch("http://x")': "TS2304",
    'window.x': "TS2304",
    'process.exit()': "TS2591",
    'console.table([])': "TS2339",
    'crypto.getRandomValues(new Float64Array(3))': "TS2345",
    'crypto.subtle': "TS2339",
    'setTimeout("x", 3)': "TS2345",
    'new TextEncoder().encode(5)': "TS2345",
}  # fmt: skip
GOOD = """
/** @param {{a: number, b?: number}} args */
function add({ a, b = 2 }) { return { result: a + b }; }
madrpc.register("add", add);
madrpc.register("untyped", ({ a, b = 3 }) => a + b);
madrpc.register("nothing", () => {});
madrpc.register("later", async (args) => (await madrpc.call("add", args)).result);
madrpc.register("environment", () => {
  console.log("x", 1); console.debug(); console.warn(); console.error(); console.info();
  const id = setTimeout((n) => console.log(n), 5, 1); clearTimeout(id);
  clearInterval(setInterval(() => {}, 5)); queueMicrotask(() => {});
  const bytes = new TextEncoder().encode("é");
  return [new TextDecoder("utf-8", {fatal: true}).decode(bytes), atob(btoa("x")),
    performance.now() - performance.timeOrigin, structuredClone({a: 1}).a, crypto.randomUUID(),
    crypto.getRandomValues(new Uint8Array(3))[0], self === globalThis];
});
"""


@pytest.fixture(scope="module")
def compiler(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command line of the TypeScript compiler, from npm."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        give_up("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", str(folder)]
    ran = subprocess.run(
        [npm, "install", *flags, TYPESCRIPT],
        capture_output=True, text=True, timeout=240, cwd=folder, check=False,
    )  # fmt: skip
    if ran.returncode:
        give_up(f"npm could not install {TYPESCRIPT}: {ran.stderr[-500:]}")
    return [node, str(folder / "node_modules" / "typescript" / "bin" / "tsc")]


def check(compiler: list[str], folder: Path) -> dict[str, list[tuple[int, str]]]:
    """By file, the line and number of each complaint."""
    ran = subprocess.run(
        [*compiler, "--noEmit", "-p", "jsconfig.json"],
        capture_output=True, text=True, timeout=120, cwd=folder, check=False,
    )  # fmt: skip
    complaints: dict[str, list[tuple[int, str]]] = {}
    for file, line, number in re.findall(r"^(\S+?)\((\d+),\d+\): error (TS\d+)", ran.stdout, re.M):
        complaints.setdefault(file, []).append((int(line), number))
    assert bool(complaints) == bool(ran.returncode), ran.stdout + ran.stderr
    return complaints


def test_the_compiler_finds_mistakes_and_nothing_wrong_with_what_works(
    compiler: list[str], tmp_path: Path
) -> None:
    assert madrpc("init", tmp_path).returncode == 0
    for example in EXAMPLES.glob("*.js"):
        shutil.copy(example, tmp_path)
    (tmp_path / "good.js").write_text(GOOD)
    (tmp_path / "bad.js").write_text(";\n".join(MISTAKES))
    assert check(compiler, tmp_path) == {"bad.js": list(enumerate(MISTAKES.values(), 1))}


def test_every_global_that_a_script_finds_has_a_type(tmp_path: Path) -> None:
    names = "setTimeout setInterval structuredClone TextEncoder TextDecoder self console crypto"
    script = tmp_path / "globals.js"
    script.write_text(
        f"// {names}\nmadrpc.register('names', () => Object.getOwnPropertyNames(globalThis));"
    )
    there = set(json.loads(madrpc("run", script, "names").stdout))
    declared = set(
        re.findall(r"^declare (?:const|function|class|namespace) (\w+)", TYPES.read_text(), re.M)
    )
    assert declared <= there
    # The rest is the language itself, which the compiler knows.
    language = {"globalThis", "undefined", "eval", "escape", "unescape"}
    lower = {name for name in there - declared - language if name[0].islower()}
    assert lower == {
        "parseInt", "parseFloat", "isNaN", "isFinite", "decodeURI", "decodeURIComponent",
        "encodeURI", "encodeURIComponent",
    }  # fmt: skip


def test_init_makes_a_folder_that_works_and_overwrites_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    assert madrpc("init", folder).stdout.splitlines()[0] == f"created  {folder}/hello.js"
    assert sorted(path.name for path in folder.iterdir()) == [
        "hello.js", "jsconfig.json", "madrpc.d.ts",
    ]  # fmt: skip
    ran = madrpc("run", "hello.js", "hello_all", 'names=["a", "b"]', cwd=folder)
    assert json.loads(ran.stdout) == ["Hello, a!", "Hello, b!"]
    (folder / "hello.js").write_text("mine")
    assert madrpc("init", cwd=folder).stdout.splitlines()[0] == "kept     hello.js"
    assert (folder / "hello.js").read_text() == "mine"


def test_init_says_why_it_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = madrpc("init", tmp_path / "file")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == (
        f"madrpc: cannot write into {tmp_path}/file: file exists; name another folder\n"
    )


def test_types_are_printed() -> None:
    assert madrpc("types").stdout == TYPES.read_text()
