from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import InvalidArguments, ResultNotSerializable
from madrpc.protocol import json_text
from madrpc.protocol.json_text import args_to_json, result_from_json
from madrpc.protocol.values import MAX_DEPTH, check_args

SAFE = 2**53 - 1

safe_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture(scope="module", autouse=True, params=["orjson", "standard library"])
def encoder(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both encoders must do the same."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "orjson":
            assert json_text.orjson is not None, "pip install orjson"
        else:
            patch.setattr(json_text, "orjson", None)
        yield


def nested(depth: int, leaf: object = 1) -> object:
    """A value whose leaf is ``depth`` lists deep."""
    for _ in range(depth):
        leaf = [leaf]
    return leaf


def refusal(args: object) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        args_to_json(args)
    with pytest.raises(InvalidArguments) as again:
        check_args(args)
    assert again.value.message == caught.value.message
    return caught.value


# ---------------------------------------------------------------- arguments


@given(st.dictionaries(st.text(), safe_values, max_size=4))
def test_safe_arguments_survive_unchanged(args):
    text = args_to_json(args)
    assert "\0" not in text
    assert json.loads(text) == args
    check_args(args)


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({}, "{}"),
        ({"a": [1, -2, 1.5, True, False, None]}, '{"a":[1,-2,1.5,true,false,null]}'),
        ({"a": (1, 2)}, '{"a":[1,2]}'),
        ({"z": 1, "a": 2}, '{"z":1,"a":2}'),
        ({"a": "\0\n"}, '{"a":"\\u0000\\n"}'),
        ({"a": -0.0}, '{"a":-0.0}'),
        ({"a": 1e300, "b": 5e-324}, '{"a":1e+300,"b":5e-324}'),
        ({"__proto__": {"a": 1}}, '{"__proto__":{"a":1}}'),
    ],
)
def test_arguments_become_this_json(args, text):
    assert args_to_json(args) == text


@pytest.mark.parametrize("number", [SAFE, -SAFE, SAFE - 1, 10**15, 0])
def test_integers_up_to_2_53_minus_1_are_taken(number):
    assert args_to_json({"n": [number]}) == f'{{"n":[{number}]}}'


@pytest.mark.parametrize("number", [SAFE + 1, -SAFE - 1, 2**63, 2**64, -(2**70)])
def test_integers_beyond_2_53_minus_1_are_refused(number):
    error = refusal({"n": [0, number]})
    assert error.data == {"path": ["n", 1]}
    assert error.message.startswith(f"args.n[1]: {number} is beyond")


@pytest.mark.parametrize("number", [10**100, -(10**5000)], ids=["100 digits", "5000 digits"])
def test_integers_too_long_to_be_shown_are_refused_too(number):
    error = refusal({"n": number})
    assert error.data == {"path": ["n"]}
    assert f"a {number.bit_length()}-bit integer" in error.message


@pytest.mark.parametrize(
    "args",
    [
        {"text": "9" * 400},
        {"9" * 400: 1},
        {"a": 0.1234567890123456},
        {"a": 1.7976931348623157e308},
        {"a": 2.0**70, "b": -(2.0**60)},
        {"a": ["1234567890123456", 9007199254740991]},
    ],
)
def test_long_digits_in_text_and_floats_are_no_reason_to_refuse(args):
    assert json.loads(args_to_json(args)) == args


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_refused(number):
    error = refusal({"rows": [{"ok": 1}, {"price": number}]})
    assert error.data == {"path": ["rows", 1, "price"]}
    assert error.message == f"args.rows[1].price: {number} is not a JSON number"


@pytest.mark.parametrize(
    "value",
    [b"x", bytearray(b"x"), {1}, object(), 1j, decimal.Decimal(1), datetime.date.min],
    ids=lambda value: type(value).__name__,
)
def test_other_types_are_refused_by_name(value):
    error = refusal({"a": {"b": value}})
    assert error.message == f"args.a.b: a {type(value).__name__} is not a JSON value"
    assert error.data == {"path": ["a", "b"]}


def test_subclasses_of_json_types_are_taken_for_what_they_hold():
    class Text(str):
        pass

    assert args_to_json({Text("k"): Text("v"), "n": enum.IntEnum("N", {"A": 3}).A}) == (
        '{"k":"v","n":3}'
    )


@pytest.mark.parametrize("args", [{"s": "\ud800"}, {"a": [{"\ud800": 1}]}])
def test_lone_surrogates_are_refused(args):
    assert "lone surrogate" in refusal(args).message


def test_arguments_may_be_500_levels_deep_and_no_deeper():
    fits = {"a": nested(MAX_DEPTH - 1)}
    assert json.loads(args_to_json(fits)) == fits
    error = refusal({"a": nested(MAX_DEPTH)})
    assert f"nested deeper than {MAX_DEPTH} levels" in error.message


@pytest.mark.parametrize("depth", [600, 990, 5000, 100_000])
def test_any_depth_is_refused_and_never_more(depth):
    assert "nested deeper" in refusal({"a": nested(depth)}).message


def test_a_cycle_is_refused():
    loop: dict[str, object] = {"wide": [1, 2, 3]}
    loop["self"] = loop
    assert "nested deeper" in refusal(loop).message


def test_many_brackets_that_are_not_deep_are_taken():
    args = {"rows": [[i] for i in range(1000)], "text": "[{" * 1000}
    assert json.loads(args_to_json(args)) == args


@pytest.mark.parametrize(
    ("args", "shown"),
    [
        ({"a b": math.nan}, "args['a b']"),
        ({"": math.nan}, "args['']"),
        ({"a": {"0": [math.nan]}}, "args.a['0'][0]"),
        ({"é": math.nan}, "args.é"),
    ],
)
def test_paths_read_like_javascript(args, shown):
    assert refusal(args).message.startswith(f"{shown}: ")


def test_a_long_path_is_shortened_in_the_message():
    error = refusal({"x" * 100: {"y" * 100: {"z" * 100: math.nan}}})
    path = error.message.partition(": ")[0]
    assert len(path) < 200
    assert path.startswith("args.xxx")
    assert path.endswith("zzz")
    assert "..." in path


def test_the_first_bad_value_is_the_one_named():
    assert refusal({"a": [1, math.nan], "b": math.inf}).data == {"path": ["a", 1]}


def test_an_error_that_no_value_explains_is_passed_on():
    class Unsteady(dict):
        def items(self):
            if not self:
                return super().items()
            self.clear()
            raise ValueError("unsteady")

    with pytest.raises(ValueError, match="unsteady"):
        args_to_json({"a": Unsteady(b=1)})


@given(safe_values)
def test_safe_results_survive_unchanged(value):
    for ascii in (True, False):
        assert result_from_json(json.dumps(value, ensure_ascii=ascii)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("null", None),
        ("true", True),
        ("0", 0),
        ("-1.5", -1.5),
        ('"a\\u0000b😀\\ud83d\\ude00"', "a\0b😀😀"),
        ("[null,null,0]", [None, None, 0]),
        ('{"n":null}', {"n": None}),
        ('{"__proto__":{"a":1}}', {"__proto__": {"a": 1}}),
        ('"9999999999999999"', "9999999999999999"),
    ],
)
def test_results_become_these_values(text, value):
    found = result_from_json(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("number", [SAFE, -SAFE, 0, 2**31, -(2**31)])
def test_safe_integers_stay_integers(number):
    found = result_from_json(f"[{number},1234567890123456]")[0]
    assert type(found) is int
    assert found == number


@pytest.mark.parametrize(
    ("text", "double"),
    [
        ("9007199254740992", 2.0**53),
        ("-9007199254740992", -(2.0**53)),
        ("1152921504606847000", 2.0**60),  # 2**60 as JavaScript prints it
        ("36893488147419103000", 2.0**65),
        ("100000000000000000000", 1e20),
        ("1e+21", 1e21),
    ],
)
def test_integers_beyond_2_53_become_the_double_they_were(text, double):
    for wrapped in (text, f"  {text}"):
        found = result_from_json(wrapped)
        assert type(found) is float
        assert found == double
    assert result_from_json(f'{{"a":[{text}]}}') == {"a": [double]}


def test_results_may_be_500_levels_deep_and_no_deeper():
    assert result_from_json("[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 990, 100_000):
        with pytest.raises(ResultNotSerializable, match="nested deeper than 500 levels"):
            result_from_json("[" * depth + "1" + "]" * depth)
    with pytest.raises(ResultNotSerializable):
        result_from_json('{"a":' * (MAX_DEPTH + 1) + "1" + "}" * (MAX_DEPTH + 1))


def test_results_with_many_brackets_that_are_not_deep_are_taken():
    rows = [[i, {"t": "]["}] for i in range(1000)]
    assert result_from_json(json.dumps(rows)) == rows


@pytest.mark.parametrize("text", ['"\\ud800"', '["a\\udfffb"]', '{"\\ud800":1}'])
def test_results_with_a_lone_surrogate_are_not_serializable(text):
    with pytest.raises(ResultNotSerializable):
        result_from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "1e400",
        "[-1e400]",
        "[1E400]",
        "1" * 400,
        "1" * 5000,
        "1" * 400 + ".5",
    ],
    ids=len,
)
def test_numbers_beyond_every_double_are_not_serializable(text):
    with pytest.raises(ResultNotSerializable):
        result_from_json(text)


@pytest.mark.parametrize("closing", ["]", "}", '\\"]', "[", "\\\\"])
def test_brackets_in_texts_hide_no_depth(closing: str) -> None:
    value: object = closing
    for _ in range(MAX_DEPTH + 1):
        value = [closing, value, closing]
    assert "levels" in refusal({"a": value}).message
    with pytest.raises(ResultNotSerializable, match="levels"):
        result_from_json(json.dumps(value))
    flat = {"rows": [[closing, n, {"k": closing}] for n in range(MAX_DEPTH)]}
    assert json.loads(args_to_json(flat)) == flat
    assert result_from_json(json.dumps(flat)) == flat


@pytest.mark.parametrize(
    "value",
    [
        {"a": None},
        {"a": "null"},
        {"ä": "\u00e9\0😀"},
        {"a": [None, 1.5]},
        # Text that looks like a packed number that is not finite.
        {"a": None, "b": "\u02ff\u7ff0"},
    ],
)
def test_nulls_and_other_text_are_the_same_with_both_encoders(value: dict[str, object]) -> None:
    assert json.loads(args_to_json(value)) == value


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_found_beside_nulls(number: float) -> None:
    assert "not a JSON number" in refusal({"a": [None, {"b": number}]}).message
