from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from madrpc.engine import jsdoc
from madrpc.engine.jsdoc import MAX_FUNCTIONS, MAX_SOURCE, Description, describe

EXAMPLES = Path(__file__).resolve().parents[3] / "js_examples"


def one(source: str, name: str = "f") -> Description:
    return describe([source], [name])[name]


def test_the_examples_read_as_they_are_written():
    source = (EXAMPLES / "monte_carlo_pi.js").read_text()
    found = one(source, "monte_carlo_sample")
    assert found.signature == "monte_carlo_sample(samples=1000000, seed=0)"
    assert found.summary == "Count the random points that fall inside the quarter circle"
    assert found.to_wire()["params"] == [
        {"name": "samples", "default": "1000000", "type": "number"},
        {"name": "seed", "default": "0", "type": "number"},
    ]


@pytest.mark.parametrize("script", sorted(EXAMPLES.glob("*.js")), ids=lambda path: path.name)
def test_every_function_of_the_examples_has_a_signature_and_a_summary(script):
    source = script.read_text()
    names = re.findall(r'madrpc\.register\("(\w+)"', source)
    for name, found in describe([source], names).items():
        assert found.summary, name
        assert "..." not in found.signature


@pytest.mark.parametrize(
    ("source", "signature"),
    [
        ('madrpc.register("f", ({a, b = 2}) => 1)', "f(a, b=2)"),
        ("madrpc.register('f', async ({ a }) => 1)", "f(a)"),
        ("madrpc.register(`f`, function ({a}) {})", "f(a)"),
        ('madrpc.register("f", async function named({a}, ctx) {})', "f(a)"),
        ('madrpc . register ( "f" , () => 1)', "f()"),
        ('madrpc.register("f", args => 1)', "f(...)"),
        ('madrpc.register("f", (args) => 1)', "f(...)"),
        ('const {register} = madrpc; register("f", ({a}) => 1)', "f(a)"),
        ('function g({a, b = 2}) {}\nmadrpc.register("f", g)', "f(a, b=2)"),
        ('async function* g({a}) {}\nmadrpc.register("f", g);', "f(a)"),
        ('const g = ({a}) => 1; madrpc.register("f", g)', "f(a)"),
        ('let g = async function ({a}) {}; madrpc.register("f", g)', "f(a)"),
        ('const o = {g({a}) {}}; madrpc.register("f", o.g)', "f(a)"),
        ('g(1); const o = {x: 1, async g({a}) {}}; madrpc.register("f", o.g)', "f(a)"),
        ('const o = {g: ({a}) => 1}; madrpc.register("f", o.g)', "f(a)"),
        ("export function f({a}) {}; for (const n in x) madrpc.register(n, x[n])", "f(a)"),
        ('madrpc.register("f", ({a: b = 3, c: {d} = {}, ...rest} = {}) => 1)',
         "f(a=3, c={}, ...rest)"),
        ('madrpc.register("f", ({a = ")", b = [1, {x: 2}], c = g(1, 2)}) => 1)',
         'f(a=")", b=[1, {x: 2}], c=g(1, 2))'),
        ("madrpc.register('f', ({a = x => x, 'b c': d, e /* , no */}) => 1)",
         "f(a=x => x, b c, e)"),
        ('// function g({wrong}) {}\nfunction g({a}) {}\nmadrpc.register("f", g)', "f(a)"),
        ('const s = "/*"; function g({a}) {}\nmadrpc.register("f", g) // */', "f(a)"),
        ('const r = /["/*]/; function g({a}) {}\nmadrpc.register("f", g) // " */', "f(a)"),
        ('madrpc.register("f", make({a: 1}))', "f(...)"),
        ('madrpc.register("f", ({a', "f(...)"),
        ('madrpc.register("f", ({a})', "f(a)"),
        ('madrpc.register("other", ({a}) => 1)', "f(...)"),
        ("", "f(...)"),
    ],
)  # fmt: skip
def test_signatures(source, signature):
    assert one(source).signature == signature


@pytest.mark.parametrize(
    ("comment", "summary"),
    [
        ("/** Add. */", "Add"),
        ("/**\n * Add two\n * numbers. And more.\n *\n * Long story.\n */", "Add two numbers"),
        ("/** Of 3.5 e.g. this: x. */", "Of 3.5 e.g. this: x"),
        ("/**\n * @param {number} a one\n * @description Add them.\n */", "Add them"),
        ("/** Add. */\n// a remark\n/* another */", "Add"),
        ("/* Add. */", ""),
        ("/** Add. */ const x = 1;", ""),
        ("/***/", ""),
        ("/** \x1b[31mred\x00 */", "?[31mred?"),
        ("/** " + "long " * 100 + "*/", "long " * 31 + "lo..."),
    ],
)
def test_summaries(comment, summary):
    assert one(f'{comment}\nmadrpc.register("f", () => 1)').summary == summary
    assert one(f'{comment}\nfunction g() {{}}\nmadrpc.register("f", g)').summary == summary
    assert one(f'{comment}\nconst g = async () => 1;\nmadrpc.register("f", g)').summary == summary


@pytest.mark.parametrize(
    ("tags", "params"),
    [
        ("@param {number} args.a - how many",
         [{"name": "a", "type": "number", "text": "how many"}]),
        ("@param {Object} args\n * @param {number} [args.a=3] how many\n * of them",
         [{"name": "a", "default": "3", "type": "number", "optional": True,
           "text": "how many of them"}]),
        ("@param {{a: number, b?: {c: string, d: x}}} args all",
         [{"name": "a", "type": "number"},
          {"name": "b", "type": "{c: string, d: x}", "optional": True}]),
        ("@param {string=} a\n * @returns {number} it", [{"name": "a", "type": "string",
                                                          "optional": True}]),
        ("@param a\n * @param", [{"name": "a"}]),
        ("@param {unclosed a", []),
    ],
)  # fmt: skip
def test_a_comment_tells_parameters_that_the_code_does_not(tags, params):
    found = one(f'/**\n * Do.\n * {tags}\n */\nmadrpc.register("f", (args) => 1)')
    assert found.to_wire()["params"] == params
    assert found.signature.startswith("f(" if params else "f(...)")


def test_the_code_knows_its_parameters_and_the_comment_their_types():
    found = one(
        "/**\n * @param {{a: number, b?: string, gone: x}} args\n */\n"
        'madrpc.register("f", ({a, b, c = 1}) => 1)'
    )
    assert found.signature == "f(a, b?, c=1)"
    assert [parameter.type for parameter in found.params] == ["number", "string", ""]


def test_the_registering_source_counts_and_not_one_with_a_function_of_that_name():
    helper = 'function f({wrong}) {}; madrpc.register("g", f)'
    script = 'madrpc.register("f", ({right}) => 1)'
    for order in ([helper, script], [script, helper]):
        found = describe(order, ["f", "g"])
        assert (found["f"].signature, found["g"].signature) == ("f(right)", "g(wrong)")


def test_what_is_read_and_what_comes_out_is_bounded():
    tail = 'madrpc.register("f", ({a}) => 1)'
    assert one(" " * MAX_SOURCE + tail).signature == "f(a)"
    assert one(tail + " " * MAX_SOURCE).signature == "f(...)"
    many = [f"n{number}" for number in range(MAX_FUNCTIONS + 5)]
    assert list(describe([tail], many)) == many[:MAX_FUNCTIONS]
    wide = ", ".join(f"parameter{number} = 'value'" for number in range(500))
    found = one(f'madrpc.register("f", ({{{wide}}}) => 1)')
    assert len(found.signature) < 260
    assert len(str(found.to_wire())) < 20_000


FRAGMENTS = st.sampled_from(
    ["/**", "*/", "/*", "//", "\n", '"', "'", "`", "\\", "madrpc.register(", '"f"', ",", "f", "g",
     "function ", "async ", "({", "})", "=>", "=", "{", "}", "(", ")", "[", "]", ":", "...", " ",
     "@param ", "{number}", "const ", "/", ";", "é", "\u2028", "\ud83d\ude00"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(FRAGMENTS, max_size=60).map("".join)))
@example('/** @param {{a: ({[ */madrpc.register("f",({')
def test_no_source_makes_it_fail(source):
    found = describe([source, f"register {source}"], ["f", "g"])
    assert list(found) == ["f", "g"]
    for name, description in found.items():
        assert description.signature.startswith(f"{name}(")
        assert description.signature.isprintable()
        assert description.summary.isprintable()


STEPS = {
    "openers": "/*", "comments": "/**/", "text": '"\\', "classes": "=/[", "regexes": "=/a",
    "registrations": 'register("f",', "functions": "function f", "brackets": "f({",
    "blanks": " ", "names": "a", "dots": "a.", "values": "a = ", "lines": "\n",
    "docs": '/** a */register("f",a=>1);', "params": "/** @param {{",
}  # fmt: skip


@pytest.mark.parametrize("unit", STEPS.values(), ids=STEPS)
def test_the_work_grows_no_faster_than_the_source(monkeypatch, unit):
    """Counted by what the regular expressions and the scans of brackets look at."""
    looked = [0]
    closing = jsdoc.closing

    def counted(text, at):
        looked[0] += 1
        return closing(text, at)

    monkeypatch.setattr(jsdoc, "closing", counted)
    describe([unit * (50_000 // len(unit))], ["f"])
    small, looked[0] = looked[0], 0
    describe([unit * (200_000 // len(unit))], ["f"])
    assert looked[0] <= max(8, 4 * small)
