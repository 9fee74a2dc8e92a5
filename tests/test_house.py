"""The laws of the house: which module may import which, and how large things may grow."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "madrpc"
MODULES = sorted(PACKAGE.rglob("*.py"))

#: Packages and top-level modules, and what each may import besides itself. A line may only name
#: what stands above it, so the table itself cannot hold a cycle.
FLOORS: dict[str, set[str]] = {
    "version": set(),
    "receipt": set(),
    "errors": {"receipt"},
    "address": set(),
    "config": {"address"},
    "tcp": {"config"},
    "tls": {"config", "errors"},
    "protocol": {"errors", "config"},
    "credentials": {"config", "protocol", "tls"},
    "policy": {"errors", "config"},
    "engine": {"errors", "config"},
    "links": {"errors", "config", "address", "credentials", "tcp", "tls", "protocol", "policy"},
    "http": {
        "receipt", "errors", "config", "address", "version", "tls", "protocol", "policy", "links",
    },
    "node": {
        "errors", "config", "address", "credentials", "version", "protocol", "policy", "engine",
        "links",
    },
    "orchestrator": {
        "errors", "config", "address", "credentials", "version", "protocol", "policy", "links",
    },
    "client": {
        "receipt", "errors", "config", "address", "credentials", "tcp", "tls", "protocol",
        "policy",
    },
    "cluster": {"errors", "client", "node"},
    "dask": {
        "errors", "config", "address", "version", "policy", "engine", "node", "client", "cluster",
    },
    "__init__": {"receipt", "errors", "address", "version", "client", "cluster"},
    "top": {"errors", "policy", "client"},
    "cli": {
        "receipt", "errors", "config", "address", "version", "protocol", "policy", "engine",
        "links", "http", "node", "orchestrator", "client", "cluster", "top",
    },
    "__main__": {"cli"},
}  # fmt: skip

PURE_FORBIDS = {
    "asyncio", "gevent", "logging", "multiprocessing", "os", "select", "socket", "subprocess",
    "sys", "threading", "time",
}  # fmt: skip
GEVENT_FORBIDS = {"asyncio", "queue", "select", "socket", "subprocess", "threading"}
CHILD_MODULES = {"node/worker.py", "node/confine.py"}
#: What costs a fifth of a second to import, and is an extra.
SCREEN_MODULES = {"top/app.py", "top/grid.py", "top/screens.py"}
PURE_ELSEWHERE = {"http/feed.py", "top/summary.py", "top/table.py", "top/words.py"}
ASYNCIO_MODULES = {
    "client/async_client.py", "client/async_mapping.py", "client/loop_conduit.py",
    "client/loop_traffic.py", "top/app.py",
}  # fmt: skip

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_MEDIAN_LINES = 10
MAX_P90_LINES = 30


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def floor_of(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(path: Path, *, nested: bool = True) -> Iterator[str]:
    """Dotted names of what a module imports; ``nested`` includes imports inside functions."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name_of(path)}: relative import"
            yield node.module or ""


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function: signature and body, without the docstring."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node) is not None:
                doc = node.body[0]
                lines -= (doc.end_lineno or doc.lineno) - doc.lineno + 1
            yield f"{name_of(path)}:{node.name}", lines


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    floor = floor_of(path)
    for name in imports(path):
        if name == "madrpc" or name.startswith("madrpc."):
            target = [*name.split("."), "__init__"][1]
            assert target == floor or target in FLOORS[floor], f"{name_of(path)} imports {name}"


def test_the_table_of_floors_has_no_cycle_and_no_gap() -> None:
    seen: set[str] = set()
    for floor, below in FLOORS.items():
        assert below <= seen, f"{floor} names a floor that stands below it in the table"
        seen.add(floor)
    assert seen == {floor_of(path) for path in MODULES}


def test_no_import_cycle_inside_a_package() -> None:
    graph = {}
    for path in MODULES:
        dotted = ".".join(("madrpc", *path.relative_to(PACKAGE).with_suffix("").parts))
        graph[dotted.removesuffix(".__init__")] = {
            name for name in imports(path, nested=False) if name.startswith("madrpc.")
        }
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, f"import cycle: {' -> '.join((*trail, module))}"
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if floor_of(p) in ("protocol", "policy") or name_of(p) in PURE_ELSEWHERE],
    ids=name_of,
)
def test_protocol_and_policy_are_pure(path: Path) -> None:
    tops = {name.split(".")[0] for name in imports(path)}
    assert not tops & PURE_FORBIDS


def test_each_world_keeps_to_itself() -> None:
    for path in MODULES:
        tops = {name.split(".")[0] for name in imports(path)}
        module = name_of(path)
        if floor_of(path) in ("client", "top") or module in CHILD_MODULES:
            assert "gevent" not in tops, module
        if "gevent" in tops and module != "node/descriptors.py":
            # It hands a descriptor to a child process as a socket of the standard library.
            assert not tops & GEVENT_FORBIDS, module
        assert ("asyncio" in tops) == (module in ASYNCIO_MODULES), module
        if tops & {"rich", "textual"}:
            assert module in SCREEN_MODULES, module
        if "quickjs" in tops:
            assert module in ("engine/quickjs.py", "engine/build.py")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_say_what_they_are_and_what_they_offer(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring"
    offered = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    only_docstring = len(tree.body) == 1
    assert offered or only_docstring or path.name == "__main__.py", f"{name_of(path)}: no __all__"


def test_the_package_offers_every_error() -> None:
    import madrpc
    from madrpc import errors

    tree = set(errors.ERRORS)
    assert tree <= set(madrpc.__all__)
    assert all(hasattr(madrpc, name) for name in madrpc.__all__)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_FILE_LINES


def test_functions_stay_short() -> None:
    lengths = {name: lines for path in MODULES for name, lines in functions(path)}
    too_long = {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES}
    assert not too_long
    assert statistics.median(lengths.values()) < MAX_MEDIAN_LINES
    assert statistics.quantiles(lengths.values(), n=10)[-1] <= MAX_P90_LINES


@pytest.mark.parametrize(
    "path",
    [p for p in MODULES if floor_of(p) in ("protocol", "policy") and p.name != "__init__.py"],
    ids=name_of,
)
def test_pure_modules_have_unit_tests_of_their_own(path: Path) -> None:
    folder = ROOT / "tests" / "unit" / path.parent.name
    assert (folder / f"test_{path.name}").is_file()


@pytest.mark.parametrize(
    # Certificates are good from one date to another.
    "path",
    [path for path in MODULES if name_of(path) != "cli/certificates.py"],
    ids=name_of,
)
def test_deadlines_never_use_the_wall_clock(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "time.time(" not in text
    assert "datetime.now" not in text


def test_the_top_level_reads_as_designed() -> None:
    expected = {
        ".ci", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "bin", "docs", "js_examples",
        "madrpc", "man", "pyproject.toml", "setup.cfg", "tests",
    }  # fmt: skip
    assert expected <= {path.name for path in ROOT.iterdir()}
