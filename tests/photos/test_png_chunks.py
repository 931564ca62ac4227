"""PNG's chunks beside the pixels: read in bounds, dropped where they are odd."""

from __future__ import annotations

import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from facegen.errors import FormatError
from facegen.photos import png_chunks
from facegen.photos.photo import decode, size
from files import chunk, encoded, pixels, srgb_profile, with_chunks

RGB = pixels(11, 6)
PLAIN = encoded(Image.fromarray(RGB), "PNG")
LONG = b"x" * ((1 << 20) + 1)
ODD = {
    "a long text": chunk(b"tEXt", b"Comment\0" + LONG),
    "a long packed text": chunk(b"zTXt", b"Comment\0\0" + zlib.compress(LONG)),
    "a long international text": chunk(b"iTXt", b"Comment\0\1\0\0\0" + zlib.compress(LONG)),
    "an unknown packing of a text": chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"x")),
    "an unknown packing of a profile": chunk(b"iCCP", b"p\0\1" + zlib.compress(srgb_profile())),
    "a packed profile that is none": chunk(b"iCCP", b"p\0\0garbage"),
    "an enormous profile": chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(17 << 20))),
    "a profile without an end": chunk(b"iCCP", b"p"),
    "a text without a keyword": chunk(b"tEXt", b""),
    "a keyword in no known letters": chunk(b"iTXt", b"\xff\xfe\0\0\0\0\0\xff"),
    "short numbers": b"".join(chunk(name, b"\1") for name in (b"gAMA", b"cHRM", b"pHYs", b"cICP")),
    "an empty sRGB": chunk(b"sRGB", b""),
    "an animation without frames": chunk(b"acTL", bytes(8)) + chunk(b"fcTL", bytes(26)),
    "a wrong checksum": chunk(b"gAMA", struct.pack(">I", 100_000))[:-1] + b"\xff",
    "a chunk that nobody knows": chunk(b"quUx", b"?"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_chunk_is_dropped(odd: bytes) -> None:
    for data in (with_chunks(PLAIN, odd), PLAIN[:-12] + odd + PLAIN[-12:]):
        photo = decode(data)
        np.testing.assert_array_equal(photo.pixels, RGB)
        assert photo.profile is None and photo.metadata.text == ()
        assert size(data) == (11, 6)


def test_texts_are_bounded_together() -> None:
    """200 KB that unpack to 200 MB."""
    one = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1 << 20)))
    texts = decode(with_chunks(PLAIN, *[one] * 200)).metadata.text
    assert len(texts) == 16


def test_what_is_kept_of_the_file() -> None:
    """Pixels and palette in their order; a broken chunk of theirs is still an error."""
    palette = encoded(Image.fromarray(RGB).quantize(8), "PNG", transparency=2)
    assert png_chunks.pixels_only(with_chunks(palette, *ODD.values())) == palette
    broken = bytearray(PLAIN)
    broken[29] ^= 1  # of the header's checksum
    with pytest.raises(FormatError):
        decode(bytes(broken))


@pytest.mark.parametrize("seed", range(3))
def test_damaged_chunks_never_lose_the_picture(seed: int) -> None:
    """Their checksums are right: what is in them is not."""
    chance = random.Random(seed)
    contents = {
        b"iCCP": b"p\0\0" + zlib.compress(srgb_profile()),
        b"zTXt": b"Comment\0\0" + zlib.compress(b"in the garden"),
        b"iTXt": b"Comment\0\1\0en\0\0" + zlib.compress("Großmutter".encode()),
        b"tEXt": b"Comment\0in the garden",
        b"gAMA": struct.pack(">I", 45_455),
        b"cHRM": struct.pack(
            ">8I", *(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
        ),
        b"cICP": bytes([12, 13, 0, 1]),
        b"pHYs": struct.pack(">IIB", 2835, 2835, 1),
        b"sRGB": b"\0",
        b"acTL": struct.pack(">II", 2, 0),
    }
    for _ in range(100):
        chunks = []
        for name, content in contents.items():
            changed = bytearray(content)
            for _ in range(chance.randint(0, 3)):
                changed[chance.randrange(len(changed))] = chance.choice((0, 1, 127, 128, 255))
            if chance.random() < 0.7:
                chunks.append(chunk(name, bytes(changed[: chance.choice((len(changed), 1))])))
        chance.shuffle(chunks)
        photo = decode(with_chunks(PLAIN, *chunks))
        assert photo.pixels.shape == RGB.shape


@pytest.mark.parametrize("seed", range(3))
def test_a_damaged_png_is_an_error_or_a_picture(seed: int) -> None:
    chance = random.Random(seed)
    whole = with_chunks(PLAIN, *(odd for odd in ODD.values() if len(odd) < 1000))
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(8, len(data))] = chance.randrange(256)
        try:
            photo = decode(bytes(data[: chance.choice((len(data), chance.randrange(len(data))))]))
        except FormatError as error:
            assert str(error)
        else:
            assert photo.pixels.dtype == np.uint8
