from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from madrpc.errors import PayloadTooLarge, ProtocolError
from madrpc.protocol.frames import FRAME_HEAD, FrameDecoder, check_size, encode_frame
from tests.kit import cut, feed_all, feed_three_ways

LIMIT = 100
# Announced lengths: one that no frame may have, and what the decoder makes of it.
BAD_LENGTHS = [(0, ProtocolError), (LIMIT + 1, PayloadTooLarge), (0xFFFFFFFF, PayloadTooLarge)]

chunk_sizes = st.lists(st.integers(1, 20), min_size=1, max_size=5)


def head(length: int) -> bytes:
    return FRAME_HEAD.pack(length)


def test_a_frame_is_a_big_endian_length_and_the_payload():
    assert encode_frame(b"abc") == b"\0\0\0\x03abc"


@pytest.mark.parametrize("payloads", [[b"a"], [b"abc", b"d"], [b"x" * LIMIT], [b"\0" * 4] * 3, []])
def test_decoding_gives_the_payloads_however_they_are_fed(payloads):
    stream = b"".join(map(encode_frame, payloads))
    assert feed_three_ways(lambda: FrameDecoder(LIMIT).feed, stream) == payloads


@given(st.lists(st.binary(min_size=1, max_size=LIMIT)), chunk_sizes)
def test_any_chunking_of_any_payloads_gives_the_same_payloads(payloads, sizes):
    decoder = FrameDecoder(LIMIT)
    stream = b"".join(map(encode_frame, payloads))
    assert feed_all(decoder.feed, cut(stream, sizes)) == payloads
    assert decoder.error is None
    assert decoder.partial_bytes == 0


@given(st.lists(st.binary(min_size=1, max_size=30)), st.binary(max_size=40), chunk_sizes)
def test_any_bytes_after_good_frames_never_raise_and_lose_no_frame(payloads, junk, sizes):
    decoder = FrameDecoder(LIMIT)
    stream = b"".join(map(encode_frame, payloads)) + junk
    frames = feed_all(decoder.feed, cut(stream, sizes))
    whole = FrameDecoder(LIMIT)
    assert whole.feed(stream) == frames
    assert frames[: len(payloads)] == payloads
    assert type(whole.error) is type(decoder.error)


@pytest.mark.parametrize("chunks", [[b""], [b"\0", b"", b"\0\0\x01", b"", b"a", b""]])
def test_empty_reads_change_nothing(chunks):
    decoder = FrameDecoder(LIMIT)
    assert feed_all(decoder.feed, chunks) == ([b"a"] if len(chunks) > 1 else [])
    assert decoder.partial_bytes == 0


@pytest.mark.parametrize("length", [1, LIMIT])
def test_lengths_from_one_to_the_limit_are_taken(length):
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(head(length) + b"x" * length) == [b"x" * length]
    assert decoder.error is None


@pytest.mark.parametrize(("length", "kind"), BAD_LENGTHS)
def test_other_lengths_break_the_stream(length, kind):
    sample = head(length) + b"x" * 10
    assert feed_three_ways(lambda: FrameDecoder(LIMIT).feed, sample) == []
    decoder = FrameDecoder(LIMIT)
    decoder.feed(sample)
    assert type(decoder.error) is kind


def test_a_length_over_the_limit_says_both_numbers():
    decoder = FrameDecoder(LIMIT)
    decoder.feed(head(LIMIT + 1))
    assert decoder.error.data == {"size": LIMIT + 1, "limit": LIMIT}
    assert "--max-frame" in decoder.error.message


@pytest.mark.parametrize(("length", "kind"), BAD_LENGTHS)
def test_good_frames_before_a_bad_one_are_delivered(length, kind):
    sample = encode_frame(b"one") + encode_frame(b"two") + head(length)
    assert feed_three_ways(lambda: FrameDecoder(LIMIT).feed, sample) == [b"one", b"two"]


@pytest.mark.parametrize(("length", "kind"), BAD_LENGTHS)
def test_failure_is_for_good(length, kind):
    decoder = FrameDecoder(LIMIT)
    decoder.feed(head(length))
    error = decoder.error
    assert decoder.feed(encode_frame(b"good")) == []
    decoder.feed_eof()
    assert decoder.error is error
    assert decoder.partial_bytes == 0


@pytest.mark.parametrize(("length", "kind"), BAD_LENGTHS)
def test_a_broken_stream_holds_no_bytes(length, kind):
    decoder = FrameDecoder(LIMIT)
    for byte in head(length) + b"more":
        decoder.feed(bytes((byte,)))
    assert decoder.partial_bytes == 0


def test_an_announcement_alone_holds_only_its_own_bytes():
    decoder = FrameDecoder(16 * 2**20)
    decoder.feed(head(16 * 2**20))
    assert decoder.partial_bytes == 4
    assert decoder._buffer.__sizeof__() < 200
    decoder.feed(b"x" * 1000)
    assert decoder.partial_bytes == 1004
    assert decoder._buffer.__sizeof__() < 3000


def test_memory_is_given_back_with_the_frame():
    decoder = FrameDecoder(2**20)
    decoder.feed(head(2**20) + b"x" * (2**20 - 1))
    assert decoder.partial_bytes == 2**20 + 3
    assert len(decoder.feed(b"x")) == 1
    assert decoder._buffer.__sizeof__() < 200


@pytest.mark.parametrize("first", [b"HTTP/1.1 400 Bad Request", b"GET / HTTP/1.1", b"POST /rpc"])
def test_http_is_told_from_a_long_frame(first):
    decoder = FrameDecoder(LIMIT)
    assert decoder.feed(first) == []
    assert type(decoder.error) is ProtocolError
    assert "speaks HTTP" in decoder.error.message


@pytest.mark.parametrize("part", [b"\0", b"\0\0\0", b"\0\0\0\x02", b"\0\0\0\x02a"])
def test_an_end_inside_a_frame_is_an_error(part):
    decoder = FrameDecoder(LIMIT)
    decoder.feed(encode_frame(b"whole") + part)
    decoder.feed_eof()
    assert type(decoder.error) is ProtocolError


def test_an_end_between_frames_is_none():
    decoder = FrameDecoder(LIMIT)
    decoder.feed_eof()
    decoder.feed(encode_frame(b"whole"))
    decoder.feed_eof()
    assert decoder.error is None


def test_payloads_are_bytes_that_outlive_the_buffer():
    decoder = FrameDecoder(LIMIT)
    decoder.feed(b"\0\0\0\x02a")
    (frame,) = decoder.feed(b"b")
    assert type(frame) is bytes
    decoder.feed(encode_frame(b"zz"))
    assert frame == b"ab"


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_check_size_lets_up_to_the_limit_pass(size):
    check_size(size, LIMIT)


def test_check_size_refuses_more():
    with pytest.raises(PayloadTooLarge) as caught:
        check_size(LIMIT + 1, LIMIT)
    assert caught.value.data == {"size": LIMIT + 1, "limit": LIMIT}


def test_repr_says_how_far_the_frame_is():
    decoder = FrameDecoder(LIMIT)
    decoder.feed(head(6) + b"ab")
    assert repr(decoder) == "<FrameDecoder holds 6 of 10 bytes, error=None>"


def test_only_a_frame_that_is_not_complete_grows_older():
    decoder = FrameDecoder(1000)
    assert decoder.grow_older() == (0, 0)
    decoder.feed(b"\0\0")
    assert [decoder.grow_older()[0] for _ in range(3)] == [1, 2, 3]
    decoder.feed(b"\0\x64abc")
    assert decoder.grow_older() == (4, 104)
    decoder.feed(b"x" * 97 + b"\0")
    assert decoder.grow_older()[0] == 1


def test_a_new_frame_is_young_even_if_one_is_always_incomplete():
    decoder = FrameDecoder(1000)
    whole = encode_frame(b"abcdef")
    decoder.feed(whole[:5])
    for _ in range(20):
        assert decoder.grow_older() == (1, len(whole))
        assert decoder.feed(whole[5:] + whole[:5]) == [b"abcdef"]
