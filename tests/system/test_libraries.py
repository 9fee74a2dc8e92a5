"""Well-known bundles load unmodified as ``-s`` files and give right answers.

They come from npm, at fixed versions, into a folder of this test session. Without npm or its
registry the tests are skipped, except under ``CI``, where a skip would hide a failure.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from madrpc.config import EngineLimits
from madrpc.engine.choice import ENGINES, load_engine
from madrpc.engine.interface import Call, Done, Engine, Script
from madrpc.engine.quickjs import QuickJSEngine
from tests.servers import Servers, give_up, require_v8

VERSIONS = {
    "ajv": "6.15.0",
    "decimal.js": "10.6.0",
    "handlebars": "4.7.10",
    "lodash": "4.18.1",
    "mathjs": "15.2.0",
    "moment": "2.31.0",
    "simple-statistics": "7.12.1",
}
LIMITS = EngineLimits(time_s=30.0)


@dataclass(frozen=True)
class Bundle:
    """A file of a package, and expressions with the values they must have."""

    path: str
    answers: tuple[tuple[str, Any], ...]


LODASH = (
    ("_.chunk([1, 2, 3, 4, 5], 2)", [[1, 2], [3, 4], [5]]),
    ("_.groupBy(['one', 'two', 'three'], 'length')", {"3": ["one", "two"], "5": ["three"]}),
    ("_.merge({a: {b: 1}}, {a: {c: 2}})", {"a": {"b": 1, "c": 2}}),
    ("_.template('Hi <%= name %>')({name: 'you'})", "Hi you"),
    ("_.camelCase('foo bar-baz')", "fooBarBaz"),
    ("_.isEqual(_.cloneDeep({a: [1, new Date(5)]}), {a: [1, new Date(5)]})", True),
    ("new Promise(done => _.delay(done, 20, 'later'))", "later"),
    ("_.random(0, 9) >= 0 && _.shuffle([1, 2, 3]).length", 3),
)
MOMENT = (
    ("moment.utc('2024-02-29').add(1, 'year').format('YYYY-MM-DD')", "2025-02-28"),
    ("moment.utc('2024-03-10 13:45').format('dddd, MMMM Do YYYY, h:mm a')",
     "Sunday, March 10th 2024, 1:45 pm"),
    ("moment.duration(90, 'minutes').humanize()", "2 hours"),
    ("moment.utc('2024-01-01').diff(moment.utc('2023-12-25'), 'days')", 7),
)  # fmt: skip
STATISTICS = (
    ("ss.mean([1, 2, 3, 4])", 2.5),
    ("ss.median([5, 1, 3])", 3),
    ("ss.linearRegression([[0, 1], [1, 3], [2, 5]])", {"m": 2, "b": 1}),
    ("ss.sampleCorrelation([1, 2, 3], [2, 4, 6])", 1),
    ("ss.quantile([3, 6, 7, 8, 8, 9, 10, 13, 15, 16, 20], 0.25)", 7.5),
)
HANDLEBARS = (
    ("Handlebars.compile('{{#each list}}{{name}}, {{/each}}')({list: [{name: 'a'}, {name: 'b'}]})",
     "a, b, "),
    ("Handlebars.compile('{{x}}')({x: '<b>'})", "&lt;b&gt;"),
    ("Handlebars.registerHelper('up', s => s.toUpperCase())"
     "|| Handlebars.compile('{{up x}}')({x: 'q'})",
     "Q"),
)  # fmt: skip

BUNDLES = [
    Bundle("lodash/lodash.js", LODASH),
    Bundle("lodash/lodash.min.js", LODASH),
    Bundle(
        "mathjs/lib/browser/math.js",
        (
            ("math.evaluate('12 / (2.3 + 0.7)')", 4),
            ("math.evaluate('sqrt(-4)').toString()", "2i"),
            ("math.derivative('x^2 + x', 'x').toString()", "2 * x + 1"),
            ("math.det([[1, 2], [3, 4]])", -2),
            ("math.evaluate('2 inch to cm').toString()", "5.08 cm"),
            ("math.format(math.bignumber(2).pow(100), {notation: 'fixed'})",
             "1267650600228229401496703205376"),
        ),
    ),
    Bundle("moment/moment.js", MOMENT),
    Bundle("moment/min/moment.min.js", MOMENT),
    Bundle(
        "moment/min/moment-with-locales.min.js",
        (("moment.utc('2024-03-10').locale('de').format('D. MMMM')", "10. März"),),
    ),
    Bundle(
        "decimal.js/decimal.js",
        (
            ("new Decimal('0.1').plus('0.2').toString()", "0.3"),
            ("Decimal.set({precision: 50}) && new Decimal(2).sqrt().toFixed(40)",
             "1.4142135623730950488016887242096980785697"),
        ),
    ),
    Bundle("simple-statistics/dist/simple-statistics.min.js", STATISTICS),
    Bundle(
        "ajv/dist/ajv.bundle.js",
        (
            ("new Ajv().validate({type: 'object', required: ['a']}, {a: 1})", True),
            ("(() => { const ajv = new Ajv({allErrors: true});"
             "ajv.validate({properties: {n: {type: 'integer', minimum: 5}}}, {n: 2.5});"
             "return ajv.errors.map(e => e.keyword) })()", ["type", "minimum"]),
            ("new Ajv().compile({format: 'date-time'})('2024-02-30T00:00:00Z')", True),
        ),
    ),
    Bundle("handlebars/dist/handlebars.js", HANDLEBARS),
    Bundle("handlebars/dist/handlebars.min.js", HANDLEBARS),
]  # fmt: skip


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages in it."""
    npm = shutil.which("npm")
    if npm is None:
        give_up("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    wanted = [f"{name}@{version}" for name, version in VERSIONS.items()]
    flags = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-save", "--prefix", str(folder)]
    try:
        subprocess.run(
            [str(npm), "install", *flags, *wanted],
            check=True, capture_output=True, text=True, timeout=240, cwd=folder,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        give_up("npm took more than 240 s")
    except subprocess.CalledProcessError as error:
        give_up(f"npm could not install the packages: {error.stderr[-500:]}")
    return folder / "node_modules"


def answer(engine: Engine, index: int) -> Any:
    execution = engine.execution(Call("f", json.dumps({"index": index}), LIMITS.time_s))
    try:
        step = execution.start()
        while not isinstance(step, Done):
            step = execution.wake()
        return json.loads(step.result)
    finally:
        execution.close()


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda bundle: bundle.path.rpartition("/")[2])
def test_a_bundle_works_unmodified(packages: Path, bundle: Bundle, name: str) -> None:
    if name == "v8":
        require_v8()
    asked = ",\n".join(f"() => ({expression})" for expression, _ in bundle.answers)
    script = Script(
        "mine.js", f"const all = [{asked}];\nmadrpc.register('f', ({{index}}) => all[index]());"
    )
    engine = load_engine(name, LIMITS)([Script.read(str(packages / bundle.path)), script])
    for index, (expression, expected) in enumerate(bundle.answers):
        got = answer(engine, index)
        if isinstance(expected, float):
            assert got == pytest.approx(expected), expression
        else:
            assert got == expected, expression


def test_all_of_them_work_side_by_side(packages: Path) -> None:
    scripts = [
        Script.read(str(packages / bundle.path)) for bundle in BUNDLES if ".min" not in bundle.path
    ]
    scripts.append(
        Script(
            "mine.js",
            "madrpc.register('f', () => [_.sum([1, 2]), math.add(1, 2), moment.version,"
            "new Decimal(3).toNumber(), typeof Ajv, typeof Handlebars]);\n"
            "madrpc.register('g', () => { _.map([1], () => null.x) });",
        )
    )
    engine = QuickJSEngine(scripts, LIMITS)
    assert answer(engine, 0) == [3, 3, VERSIONS["moment"], 3, "function", "object"]


def test_an_error_below_a_bundle_names_the_right_files(packages: Path) -> None:
    lodash = packages / "lodash/lodash.js"
    script = Script(
        "mine.js", "\nmadrpc.register('f', () => {\n  _.map([1], function mine() { null.x }) });"
    )
    engine = QuickJSEngine([Script.read(str(lodash)), script], LIMITS)
    with pytest.raises(Exception, match="cannot read property 'x' of null") as caught:
        answer(engine, 0)
    frames = caught.value.data["stack"].splitlines()  # type: ignore[attr-defined]
    assert frames[0].startswith("    at mine (mine.js:3:")
    assert frames[-1].startswith("    at <anonymous> (mine.js:3:")
    lines = lodash.read_text(encoding="utf-8").splitlines()
    for frame in frames[1:-1]:
        name, _, place = frame.strip().removeprefix("at ").partition(" (lodash.js:")
        number = int(place.partition(":")[0])
        assert any(name in line for line in lines[max(0, number - 40) : number]), frame


def test_a_node_takes_a_bundle_beside_a_script(packages: Path, servers: Servers) -> None:
    script = servers.script("madrpc.register('chunk', ({list, n}) => _.chunk(list, n));", "mine.js")
    node = servers.node("-s", packages / "lodash/lodash.min.js", "-s", script, "--pool-size", 1)
    from madrpc import Client

    with Client(node.address) as client:
        assert client.call("chunk", {"list": [1, 2, 3], "n": 2}) == [[1, 2], [3]]
        assert client.methods() == ["chunk"]
