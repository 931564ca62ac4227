"""Picture files of every kind, made by Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageCms

from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.pictures.items import Item
from facegen.pictures.task import Made, Task
from shared_data import SHARED_DATA


def pixels(height: int, width: int, seed: int = 0) -> np.ndarray:
    """(height, width, 3) uint8, smooth enough for JPEG."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    planes = [np.sin(3 * y + seed), np.cos(5 * x + seed), np.sin(4 * (x + y))]
    return np.uint8(np.stack([127.5 + 100 * plane for plane in planes], axis=2))


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(height: int = 9, width: int = 7, seed: int = 0) -> bytes:
    return encoded(Image.fromarray(pixels(height, width, seed)), "PNG")


def heic(image: Image.Image, orientation: int = 1) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    made = pillow_heif.HeifFile()
    made.add_from_pillow(image)
    if orientation != 1:
        exif = Image.Exif()
        exif[0x0112] = orientation
        made[0].info["exif"] = exif.tobytes()
    file = io.BytesIO()
    made.save(file, quality=100, chroma=444, save_nclx_profile=True)
    return file.getvalue()


@cache  # it has the time of its making
def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def chunk(name: bytes, content: bytes) -> bytes:
    """Of a PNG."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """A PNG with more chunks behind its header."""
    return data[:33] + b"".join(chunks) + data[33:]


def raw_png(rows: np.ndarray, depth: int, colour: int, width: int, *chunks: bytes) -> bytes:
    """A PNG of rows of bytes (height, n), whatever they mean."""
    height = len(rows)
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", content), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def raw_tiff(values: np.ndarray, order: str, tags: Mapping[int, int], bits: int = 16) -> bytes:
    """A TIFF of one strip of uint16 values (height, width) packed elsewhere to `bits` a value."""
    height, width = values.shape
    content = values.astype(order + "u2").tobytes()
    if bits == 12:
        assert order == "<" and width % 2 == 0
        pairs = values.reshape(-1, 2).astype(int)
        first, second = pairs[:, 0], pairs[:, 1]
        packed = [first >> 4, (first & 15) << 4 | second >> 8, second & 255]
        content = np.stack(packed, axis=1).astype(np.uint8).tobytes()
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 277: 1, 278: height, **tags}
    entries |= {273: 8 + 2 + 12 * (len(entries) + 2) + 4, 279: len(content)}
    mark = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(entries)) + b"".join(
        struct.pack(order + "HHII", tag, 4, 1, entries[tag]) for tag in sorted(entries)
    )
    return mark + struct.pack(order + "I", 8) + directory + bytes(4) + content


def profile_of(tags: Mapping[bytes, bytes], space: bytes = b"RGB ", pcs: bytes = b"XYZ ") -> bytes:
    """An ICC profile (version 2) of these tags."""
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        place = 128 + 4 + 12 * len(tags) + len(content)
        table += name + struct.pack(">II", place, len(tag))
        content += tag.ljust(-(-len(tag) // 4) * 4, b"\0")
    header = bytearray(128)
    header[:4] = struct.pack(">I", 128 + len(table) + len(content))
    header[8:24] = b"\x02\x10\0\0mntr" + space + pcs
    header[36:40] = b"acsp"
    header[68:80] = struct.pack(">III", 0xF6D6, 0x10000, 0xD32D)  # D50, as 16.16 fixed point
    return bytes(header) + table + content


def odd_picture(name: str) -> bytes:
    """One of ../shared/data/odd-pictures; the test is skipped where they are not there."""
    folder = SHARED_DATA / "odd-pictures"
    if not folder.is_dir():
        pytest.skip(f"no {folder}: the odd pictures are not here")
    return (folder / name).read_bytes()


def negative(batch: int = 3, **settings: object) -> Task:
    """A task whose network is 255 - x, and whose fact is the size."""
    return Task({"command": "negative", **settings}, _prepare, _compute, _finish, batch)


def _prepare(photo: Photo) -> np.ndarray:
    return photo.pixels


def _compute(values: list[np.ndarray]) -> list[np.ndarray]:
    return [255 - value for value in values]


def _finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
    (output,) = outputs
    data = encode(value, output, photo.alpha, photo.profile)
    return Made({output: data}, {"size": list(photo.pixels.shape[:2])})


def one(source: str, output: str) -> Item:
    return Item(source, (output,))
