"""structuredClone, TextEncoder, TextDecoder, crypto."""

from __future__ import annotations

import random
import uuid
from typing import Any

import pytest

from madrpc.config import EngineLimits
from madrpc.errors import JavaScriptError, MadrpcError
from tests.unit.engine.drive import engine_for, engine_of, run, value

# ------------------------------------------------------------- structuredClone


def test_plain_values_are_copied() -> None:
    sent: dict[str, Any] = {"a": [1, None, {"b": "text"}], "c": {}, "d": [], "e": 1.5, "f": False}
    assert value("return structuredClone(args)", sent) == sent
    assert value(
        "const from = {a: {b: [1]}}, to = structuredClone(from); to.a.b.push(2);"
        "return [from.a.b.length, to.a !== from.a]"
    ) == [1, True]


@pytest.mark.parametrize(
    ("make", "check"),
    [
        ("undefined", "to === undefined"),
        ("10n ** 30n", "to === 10n ** 30n"),
        ("-0", "Object.is(to, -0)"),
        ("new Date(5)", "to instanceof Date && to.getTime() === 5 && to !== from"),
        ("/a+/giu", "to instanceof RegExp && String(to) === '/a+/giu'"),
        ("new Map([[{k: 1}, {v: 2}]])",
         "[...to][0][0].k === 1 && [...to][0][1].v === 2 && to.size === 1"),
        ("new Set([1, {a: 2}])", "to instanceof Set && [...to][1].a === 2"),
        ("new Uint8Array([1, 2, 3]).buffer", "to.byteLength === 3 && to !== from"),
        ("new Uint16Array([1, 2, 3])", "to instanceof Uint16Array && to.join() === '1,2,3'"),
        ("new Uint8Array([1, 2, 3, 4]).subarray(1, 3)",
         "to.byteOffset === 1 && to.join() === '2,3' && to.buffer.byteLength === 4"),
        ("new DataView(new ArrayBuffer(8), 2, 4)",
         "to instanceof DataView && to.byteOffset === 2 && to.byteLength === 4"),
        ("new BigInt64Array([5n])", "to[0] === 5n"),
        ("Object(5)", "typeof to === 'object' && to + 1 === 6"),
        ("Object('s')", "to instanceof String && to.length === 1"),
        ("Object(3n)", "typeof to === 'object' && to + 1n === 4n"),
        ("[1, , 3]", "to.length === 3 && !(1 in to)"),
        ("Object.assign([1], {extra: 2})", "to.extra === 2 && to.length === 1"),
        ("new (class Point { x = 1 })", "to.x === 1 && to.constructor === Object"),
        ("Object.create({inherited: 1})", "to.inherited === undefined"),
        ("{get a() { return 5 }}", "Object.getOwnPropertyDescriptor(to, 'a').value === 5"),
        ("{[Symbol('s')]: 1, b: 2}", "Reflect.ownKeys(to).join() === 'b'"),
        ("JSON.parse('{\"__proto__\": {\"x\": 1}}')",
         "Object.hasOwn(to, '__proto__') && to.x === undefined"),
        ("(() => { const a = {}; a.me = a; a.list = [a]; return a })()",
         "to.me === to && to.list[0] === to && to !== from"),
        ("(() => { const a = {}; return [a, a] })()", "to[0] === to[1] && to[0] !== from[0]"),
        ("(() => { const m = new Map(); m.set(m, m); return m })()", "to.get(to) === to"),
        ("new RangeError('m', {cause: {a: 1}})",
         "to instanceof RangeError && to.message === 'm' && to.cause.a === 1 && typeof to.stack "
         "=== 'string'"),
        ("Object.assign(new Error('m'), {name: 'Custom', code: 5})",
         "to instanceof Error && to.constructor === Error && to.code === undefined"),
        ("(() => { const b = new ArrayBuffer(4); return [new Uint8Array(b), new Int8Array(b)] "
         "})()",
         "to[0].buffer === to[1].buffer && to[0].buffer !== from[0].buffer"),
    ],
)  # fmt: skip
def test_each_kind_of_value_is_cloned(make: str, check: str) -> None:
    assert value(f"const from = {make}; const to = structuredClone(from); return {check}") is True


@pytest.mark.parametrize(
    "make",
    [
        "() => 1", "Symbol('s')", "{a: {b() {}}}", "new Map([[1, Symbol('x')]])", "new WeakMap()",
        "Promise.resolve(1)", "[new WeakRef({})]", "Math.max", "Object(Symbol('s'))",
    ],
)  # fmt: skip
def test_what_cannot_be_cloned_is_refused_by_name(make: str) -> None:
    assert value(
        f"try {{ structuredClone({make}) }} catch (e) {{ "
        "return [e.name, e.code, e instanceof DOMException, e.message.includes('be cloned')] }"
    ) == ["DataCloneError", 25, True, True]


def test_a_transferred_buffer_is_gone_here() -> None:
    assert value(
        "const buffer = new Uint8Array([1, 2]).buffer;"
        "const to = structuredClone({view: new Uint8Array(buffer)}, {transfer: [buffer]});"
        "return [to.view.join(), buffer.detached]"
    ) == ["1,2", True]
    error = run(engine_for("structuredClone(1, {transfer: [{}]})")).error
    assert isinstance(error, JavaScriptError)
    assert error.data["name"] == "DataCloneError"


@pytest.mark.parametrize(
    "body",
    [
        "structuredClone({a: [() => 1]})",
        "structuredClone({get a() { return this.b.c }})",
        "new TextDecoder('none')",
        "new TextDecoder().decode(5)",
        "new TextDecoder('utf-8', {fatal: true}).decode(new Uint8Array([255]))",
        "new TextEncoder().encodeInto('a', [])",
        "setTimeout('code')",
        "crypto.getRandomValues([])",
    ],
)
def test_the_stack_of_a_refusal_points_at_the_script(body: str) -> None:
    error = run(engine_of(f"\n\nmadrpc.register('f', () => {{\n  {body} }});")).error
    assert isinstance(error, JavaScriptError)
    frames = str(error.data["stack"]).splitlines()
    assert [frame.split(":")[1] for frame in frames] == ["4"] * len(frames)


def test_a_structure_that_is_too_deep_is_an_error_of_the_tree() -> None:
    body = "let deep = {}; for (let i = 0; i < 1e5; i++) deep = {deep}; structuredClone(deep)"
    assert isinstance(run(engine_for(body)).error, MadrpcError)


# ------------------------------------------------------------- TextEncoder

TEXTS = [
    "", "abc", "é\u20ac\U0001f600", "\0\x7f\x80\xff", "\ufeffbom", "a" * 70_000,
    "\u20ac" * 65_536 + "x", "x" * 65_535 + "\U0001f600" * 3,
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:4] + str(len(text)))
def test_text_becomes_its_utf8_and_comes_back(text: str) -> None:
    made = value(
        "const bytes = new TextEncoder().encode(args.text);"
        "return [bytes.toHex(), new TextDecoder('utf-8', {ignoreBOM: true}).decode(bytes)]",
        {"text": text},
    )
    assert made == [text.encode().hex(), text]


def test_halves_of_characters_become_replacements() -> None:
    assert (
        value(r"return new TextEncoder().encode('a\ud83d\ude00\ud83d-\ude00').toHex()")
        == "a\U0001f600\ufffd-\ufffd".encode().hex()
    )


@pytest.mark.parametrize(
    ("text", "room", "read", "written"),
    [("abc", 5, 3, 3), ("abc", 2, 2, 2), ("a\u20ac", 3, 1, 1), ("a\u20ac", 4, 2, 4),
     ("\U0001f600x", 3, 0, 0), ("\U0001f600x", 4, 2, 4), ("\U0001f600x", 5, 3, 5), ("", 0, 0, 0),
     ("\ufffd", 3, 1, 3)],
)  # fmt: skip
def test_encode_into_stops_before_a_character_that_does_not_fit(
    text: str, room: int, read: int, written: int
) -> None:
    got = value(
        "const target = new Uint8Array(args.room).fill(1);"
        "const done = new TextEncoder().encodeInto(args.text, target);"
        "return [done, target.toHex()]",
        {"text": text, "room": room},
    )
    kept = text.encode()[:written]
    assert got == [{"read": read, "written": written}, (kept + b"\1" * (room - written)).hex()]


# ------------------------------------------------------------- TextDecoder

DECODE = (
    "const decoder = new TextDecoder(args.label ?? 'utf-8', args.options);"
    "const parts = args.parts.map((hex, i) => decoder.decode("
    "  Uint8Array.fromHex(hex), {stream: i < args.parts.length - 1}));"
    "return parts.join('')"
)


def decoded(*parts: bytes, label: str = "utf-8", **options: bool) -> str:
    sent = {"parts": [part.hex() for part in parts], "label": label, "options": options}
    return str(value(DECODE, sent))


def broken_utf8(count: int) -> list[bytes]:
    """Bytes that are likely to be nearly UTF-8."""
    source = random.Random(5)
    pieces = [
        b"a", "é".encode(), "\u20ac".encode(), "\U0001f600".encode(), b"\xe2\x82", b"\xf0\x9f\x98",
        b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xff", b"\x80", b"\xe0\x80\x80",
        b"\xf0\x80\x80\x80", b"\xf5\x80", b"\xc3", b"\xf1\x80\x80", b"\xed\x9f\xbf",
    ]  # fmt: skip
    return [b"".join(source.choices(pieces, k=source.randrange(1, 9))) for _ in range(count)]


def test_wrong_bytes_become_replacements_as_the_standard_says() -> None:
    samples = broken_utf8(400)
    engine = engine_for(
        "return args.all.map(hex => new TextDecoder().decode(Uint8Array.fromHex(hex)))"
    )
    got = run(engine, {"all": [sample.hex() for sample in samples]}).result
    assert got == [sample.decode("utf-8", "replace") for sample in samples]


def test_a_stream_decodes_like_the_whole() -> None:
    samples = broken_utf8(60)
    engine = engine_for(
        "return args.all.map(hex => { const bytes = Uint8Array.fromHex(hex), all = [];"
        "for (const size of [1, 2, 3]) { const decoder = new TextDecoder(); let text = '';"
        "  for (let at = 0; at < bytes.length; at += size)"
        "    text += decoder.decode(bytes.subarray(at, at + size), {stream: true});"
        "  all.push(text + decoder.decode()) } return all })"
    )
    got = run(engine, {"all": [sample.hex() for sample in samples]}).result
    assert got == [[sample.decode("utf-8", "replace")] * 3 for sample in samples]


def test_a_byte_order_mark_is_left_out_once() -> None:
    mark = b"\xef\xbb\xbf"
    assert decoded(mark + b"a" + mark) == "a\ufeff"
    assert decoded(mark + b"a", ignoreBOM=True) == "\ufeffa"
    assert decoded(mark[:1], mark[1:], b"a", mark) == "a\ufeff"
    assert value(
        "const decoder = new TextDecoder(); const mark = new Uint8Array([0xef, 0xbb, 0xbf]);"
        "return [decoder.decode(mark), decoder.decode(mark)]"
    ) == ["", ""]


def test_fatal_refuses_wrong_bytes() -> None:
    for part in (b"\xff", b"a\xe2\x82", b"\xed\xa0\x80"):
        error = run(engine_for(DECODE), {"parts": [part.hex()], "options": {"fatal": True}}).error
        assert isinstance(error, JavaScriptError)
        assert error.data["name"] == "TypeError"
    assert decoded(b"\xe2\x82", b"\xac", fatal=True) == "\u20ac"


@pytest.mark.parametrize("label", ["utf-8", "UTF8", " utf-8\n", "unicode-1-1-utf-8"])
def test_labels_of_utf8(label: str) -> None:
    assert decoded("é".encode(), label=label) == "é"


@pytest.mark.parametrize("label", ["latin1", "iso-8859-1", "ascii", "windows-1252"])
def test_latin1_is_windows_1252_as_on_the_web(label: str) -> None:
    every = bytes(range(256))
    expected = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in every)
    assert decoded(every, label=label) == expected


def test_utf16() -> None:
    text = "a\u20ac\U0001f600"
    raw = text.encode("utf-16-le")
    assert decoded(raw, label="utf-16le") == text
    assert decoded(b"\xff\xfe" + raw, label="utf-16") == text
    assert decoded(raw[:5], raw[5:6], raw[6:], label="utf-16le") == text
    assert decoded(b"a\0b", label="utf-16le") == "a\ufffd"
    assert decoded(b"\x3d\xd8a\0", label="utf-16le") == "\ufffda"


def test_other_encodings_are_refused() -> None:
    error = run(engine_for("new TextDecoder('shift_jis')")).error
    assert isinstance(error, JavaScriptError)
    assert error.message == (
        "RangeError: TextDecoder: shift_jis is not one of utf-8, utf-16le and windows-1252"
    )


def test_codecs_tell_what_they_are() -> None:
    assert value(
        "const d = new TextDecoder('latin1', {fatal: true});"
        "return [new TextEncoder().encoding, d.encoding, d.fatal, d.ignoreBOM, `${d}`, "
        "new TextDecoder().decode(new DataView(new Uint8Array([97, 98]).buffer, 1))]"
    ) == ["utf-8", "windows-1252", True, False, "[object TextDecoder]", "b"]


def test_megabytes_are_coded_in_good_time_and_memory() -> None:
    engine = engine_for(
        "const text = '\u20acuro '.repeat(400000);"
        "const bytes = new TextEncoder().encode(text);"
        "return [bytes.length, new TextDecoder().decode(bytes) === text]",
        limits=EngineLimits(time_s=10.0, memory_bytes=64 * 2**20),
    )
    done = run(engine)
    assert done.error is None
    assert done.result == [400_000 * 7, True]


# ------------------------------------------------------------- crypto


def chacha20_blocks(key: bytes, count: int) -> bytes:
    """ChaCha20 with a zero nonce, from RFC 8439."""
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574]
    start += [int.from_bytes(key[at : at + 4], "little") for at in range(0, 32, 4)]

    def quarter(w: list[int], a: int, b: int, c: int, d: int) -> None:
        for x, y, z, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[x] = (w[x] + w[y]) & 0xFFFFFFFF
            w[z] ^= w[x]
            w[z] = ((w[z] << turn) | (w[z] >> (32 - turn))) & 0xFFFFFFFF

    out = b""
    for block in range(count):
        state = [*start, block, 0, 0, 0]
        w = list(state)
        for _ in range(10):
            for i in range(4):
                quarter(w, i, 4 + i, 8 + i, 12 + i)
            for i in range(4):
                quarter(w, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
        words = [(x + y) & 0xFFFFFFFF for x, y in zip(w, state, strict=True)]
        out += b"".join(word.to_bytes(4, "little") for word in words)
    return out


def test_the_reference_is_chacha20() -> None:
    # RFC 8439, appendix A.1, test vector 1.
    assert chacha20_blocks(bytes(32), 1).hex().startswith("76b8e0ada0f13d90405d6ae55386bd28")


def test_random_bytes_are_chacha20_of_the_seed() -> None:
    import hashlib

    body = (
        "const all = []; for (const n of [1, 3, 64, 200]) "
        "all.push(crypto.getRandomValues(new Uint8Array(n)).toHex()); return all.join('')"
    )
    drawn = hashlib.blake2b(b"7", digest_size=48, person=b"madrpc seed 1").digest()
    got = run(engine_for(body), seed="7").result
    assert got == chacha20_blocks(drawn[16:], 5)[:268].hex()


def test_random_bytes_differ_between_calls_and_follow_a_seed() -> None:
    engine = engine_for("return [crypto.randomUUID(), crypto.randomUUID()]")
    ids = [text for _ in range(50) for text in run(engine).result]
    assert len(set(ids)) == 100
    assert run(engine, seed="7").result == run(engine, seed="7").result
    for text in ids:
        assert uuid.UUID(text).version == 4
        assert uuid.UUID(text).variant == uuid.RFC_4122


@pytest.mark.parametrize(
    "kind",
    ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array",
     "Uint32Array", "BigInt64Array", "BigUint64Array"],
)  # fmt: skip
def test_whole_number_arrays_are_filled_and_returned(kind: str) -> None:
    assert value(
        f"const from = new {kind}(40), to = crypto.getRandomValues(from);"
        "return [from === to, new Set(from).size > 20]"
    ) == [True, True]


def test_only_the_view_is_filled() -> None:
    assert value(
        "const all = new Uint8Array(40); crypto.getRandomValues(all.subarray(10, 30));"
        "return [all.slice(0, 10).join(''), all.slice(30).join('')]"
    ) == ["0" * 10, "0" * 10]


@pytest.mark.parametrize(
    ("make", "name"),
    [
        ("new Float64Array(1)", "TypeMismatchError"), ("[1, 2]", "TypeMismatchError"),
        ("new DataView(new ArrayBuffer(8))",
         "TypeMismatchError"), ("undefined", "TypeMismatchError"),
        ("new Uint8Array(65537)",
         "QuotaExceededError"), ("new Uint32Array(16385)", "QuotaExceededError"),
    ],
)  # fmt: skip
def test_what_cannot_be_filled_is_refused(make: str, name: str) -> None:
    body = f"try {{ crypto.getRandomValues({make}) }} catch (e) {{ return e.name }}"
    assert value(body) == name
    assert value("return crypto.getRandomValues(new Uint8Array(65536)).length") == 65536
