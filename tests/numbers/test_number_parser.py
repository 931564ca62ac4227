"""`NumberParser` against the C library's strtof."""

from __future__ import annotations

import ctypes
import struct
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegen._native import NumberParser

_libc = ctypes.CDLL(None)
_libc.strtof.restype = ctypes.c_float
_libc.strtof.argtypes = [ctypes.c_char_p, ctypes.c_void_p]


def strtof_bits(word: str) -> int:
    return int(np.float32(_libc.strtof(word.encode(), None)).view(np.uint32))


def parse(text: bytes, block: int = 1 << 20, threads: int = 1, finite: bool = False) -> np.ndarray:
    parser = NumberParser(finite)
    parts = [parser.feed(text[i : i + block], threads) for i in range(0, len(text), block)]
    return np.concatenate([*parts, parser.finish()])


def parse_bits(words: list[str]) -> list[int]:
    return parse(" ".join(words).encode()).view(np.uint32).tolist()


decimals = st.from_regex(
    r"[+-]?([0-9]{1,25}\.?[0-9]{0,25}|\.[0-9]{1,25})([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
short_decimals = st.from_regex(r"[+-]?[0-9]\.[0-9]{1,17}", fullmatch=True)
finite_bits = st.integers(0, 2**32 - 1).filter(lambda bits: bits >> 23 & 255 != 255)


def float_of(bits: int) -> float:
    return struct.unpack("<f", struct.pack("<I", bits))[0]


@given(st.lists(decimals | short_decimals, min_size=1, max_size=20))
def test_as_strtof(words: list[str]) -> None:
    assert parse_bits(words) == [strtof_bits(word) for word in words]


@given(finite_bits, st.integers(0, 30))
def test_digits_of_any_float(bits: int, digits: int) -> None:
    words = [f"{float_of(bits):.{digits}e}", f"{float_of(bits):.{digits}f}", repr(float_of(bits))]
    assert parse_bits(words) == [strtof_bits(word) for word in words]


@given(finite_bits.filter(lambda bits: bits & 0x7FFFFFFF != 0x7F7FFFFF), st.integers(15, 40))
def test_around_midpoints(bits: int, digits: int) -> None:
    """The midpoint of two floats, exact and cut to some digits: rounding twice goes wrong here."""
    with localcontext() as context:  # exact: the midpoints have up to 113 digits
        context.prec = 200
        midpoint = (Decimal(float_of(bits)) + Decimal(float_of(bits + 1))) / 2
    words = [f"{midpoint:.{digits}e}", f"{midpoint:.200e}", f"{midpoint:.200e}".replace("e", "1e")]
    assert parse_bits(words) == [strtof_bits(word) for word in words]


@given(finite_bits)
def test_round_trip(bits: int) -> None:
    assert parse_bits([f"{float_of(bits):.9g}"]) == [bits]


@pytest.mark.parametrize("word", ["nan", "-NaN", "inf", "+Infinity", "-inf", "1e39", "-1e400"])
def test_not_finite(word: str) -> None:
    assert parse_bits([word]) == [strtof_bits(word)]
    with pytest.raises(ValueError) as caught:
        parse(f"1 2\n3 {word} 4".encode(), finite=True)
    assert str(caught.value) == f"line 2, column 3: '{word}' is not a finite number"


numbers = st.lists(
    st.tuples(
        st.floats(-10, 10, width=32).map(lambda v: f"{v:.6g}"),
        st.text(" \t\n\v\f\r", min_size=1, max_size=4),
    ),
    min_size=1,
)


@given(numbers, st.integers(1, 40), st.integers(1, 3))
def test_blocks(words: list[tuple[str, str]], block: int, threads: int) -> None:
    text = "".join(word + space for word, space in words).encode()
    expected = np.array([float(word) for word, _ in words], np.float32)
    np.testing.assert_array_equal(parse(text, block, threads), expected)
    np.testing.assert_array_equal(parse(text.rstrip(), block, threads), expected)


@given(numbers, st.sampled_from(["x", "1.5.2", "--3", "\0", "é", "0x1p3"]), st.integers(1, 40))
def test_bad_word_is_placed(words: list[tuple[str, str]], bad: str, block: int) -> None:
    before = "".join(word + space for word, space in words)
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    with pytest.raises(ValueError, match=rf"^line {line}, column {column}: .* is not a number$"):
        parse((before + bad + " 1").encode(), block)


@given(st.binary(max_size=300), st.integers(1, 50))
def test_hostile_bytes(text: bytes, block: int) -> None:
    """Anything either parses as strtof does, word by word, or raises one printable line."""
    try:
        values = parse(text, block)
    except ValueError as error:
        assert str(error).isprintable()
        with pytest.raises(ValueError, match="line"):
            parse(text)
    else:
        assert values.size == len(text.split())


def test_many_threads_agree() -> None:
    rng = np.random.default_rng(0)
    text = b" ".join(b"%.6f" % v for v in rng.uniform(-1, 1, 200_000))
    expected = parse(text)
    for threads in (2, 3, 16):
        np.testing.assert_array_equal(parse(text, threads=threads), expected)


def test_long_words() -> None:
    assert parse(b"0" * 65000 + b"7").tolist() == [7]
    for block in (100, 1 << 20):
        with pytest.raises(ValueError, match="line 1, column 1: '0{40}...' is longer than 65536"):
            parse(b"0" * 70000, block)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="threads must be at least 1"):
        NumberParser().feed(b"1", 0)
    with pytest.raises(TypeError):
        NumberParser().feed("1")  # type: ignore[arg-type]


@pytest.mark.slow
def test_many_millions() -> None:
    rng = np.random.default_rng(2)
    for style in (b"%.9g", b"%.6f", b"%.8e", b"%.17g"):
        values = rng.integers(0, 2**32, 1_000_000, dtype=np.uint32).view(np.float32)
        values = values[np.isfinite(values)]
        if style == b"%.6f":
            values = np.tanh(values)
        text = (style + b" ") * values.size % tuple(values.tolist())
        found = parse(text, threads=2)
        if style != b"%.6f":  # enough digits to come back
            np.testing.assert_array_equal(found.view(np.uint32), values.view(np.uint32))
        sample = text.split()[:200_000]
        expected = [strtof_bits(word.decode()) for word in sample]
        assert found[:200_000].view(np.uint32).tolist() == expected
