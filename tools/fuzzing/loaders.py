"""Damaged and hostile files, given to every reader of files.

Each is a valid file that is changed: bits, ends, pieces of other files, sizes at their extremes. A
reader may return, or raise a FacegenError of one line, in the memory that docs/formats.md promises.
"""

from __future__ import annotations

import faulthandler
import gzip
import io
import json
import os
import resource
import signal
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import safetensors.numpy
from PIL import Image

from facegen import FacegenError, weights
from facegen.cli.colorizer.lists import pictures_of
from facegen.comparison import compare
from facegen.files.journal import Journal
from facegen.media import digits, labels
from facegen.media.raw import RawReader
from facegen.media.rgb import RgbReader
from facegen.networks import Network
from facegen.networks.pix2pix import tensorflow_name
from facegen.networks.recognise import read_any
from facegen.numbers import idx
from facegen.numbers.latents import NpyLatentReader, open_latents
from facegen.photos import photo
from facegen.pictures.manifest import Manifest
from facegen.weights import pict
from facegen.weights.layout import Entry
from fuzzing._damage import changed

Rng = np.random.Generator
FOLDER = tempfile.TemporaryDirectory(prefix="facegen-fuzz-")  # removed when the process ends
CPU_SECONDS = 20  # of the processor, not of a clock: a busy machine is no fault
LOADER_BYTES, PICTURE_BYTES = 200 << 20, 3 << 30  # of memory, besides 4 times the file's size


@dataclass(frozen=True)
class Case:
    """A valid file: `inner` is what is mostly changed, `wrap` makes the file of it."""

    name: str  # the extension counts
    inner: bytes
    read: Callable[[str], object]
    wrap: Callable[[bytes], bytes] = bytes
    memory_bytes: int = LOADER_BYTES
    most_bytes: int = 8 << 20


faulthandler.register(signal.SIGPROF, chain=True)  # shows where the time went, then ends
warnings.simplefilter("ignore")  # Pillow's, of damaged tags
warnings.filterwarnings("error", module="facegen")


def one_round(rng: Rng) -> None:
    for _ in range(20):
        case = cases()[rng.integers(len(cases()))]
        inner = case.inner
        if rng.random() < 0.8:
            inner = changed(rng, inner, contents())
        data = case.wrap(inner)
        if inner is case.inner or rng.random() < 0.1:
            data = changed(rng, data, contents())
        try_one(case, data[: case.most_bytes])


def try_one(case: Case, data: bytes) -> None:
    """Raises for what is no result and no error of ours, and for one that is too long."""
    path = os.path.join(FOLDER.name, case.name)
    Path(path).write_bytes(data)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + case.memory_bytes + 4 * len(data)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        case.read(path)
    except FacegenError as error:
        message = str(error)
        assert "\n" not in message and len(message) < 1000, f"{case.name}: {message[:2000]!r}"
    except BaseException as error:
        error.args = (f"{case.name}: {error}",)
        raise
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


# The valid files, and what reads them.


@cache
def cases() -> list[Case]:
    rng = np.random.default_rng(0)
    found = [*weight_files(rng), *number_files(rng), *texts(rng), *picture_files(rng)]
    return [*found, *run_files()]


@cache
def contents() -> list[bytes]:
    return [case.inner for case in cases()]


LAYOUT = [
    Entry("encoder_1.conv.weight", (2, 3), (1, 0)),
    Entry("encoder_1.conv.bias", (3,), (0,)),
    Entry("decoder_1.tconv.weight", (2, 2, 2, 3), (2, 0, 1, 3)),
]
SHAPES = {entry.name: entry.shape for entry in LAYOUT}
FOREIGN = {f"{entry.name.split('.')[1]}.{i}": entry for i, entry in enumerate(LAYOUT)}
CAFFE = {f"layer{i}.weight": entry for i, entry in enumerate(LAYOUT)}
PICT = {tensorflow_name(entry.name): entry for entry in LAYOUT}
TINY = Network(
    name="tiny",
    summary="",
    graph=lambda: SimpleNamespace(parameters=SHAPES),  # type: ignore[arg-type, return-value]
    binary_layout=LAYOUT,
    initial_weights=lambda seed: {},
    model=dict,
    foreign={"pytorch": FOREIGN, "caffe": CAFFE, "npz": FOREIGN, "pict": PICT},
)


def read_weights(path: str) -> None:
    _, found = read_any(path, [TINY])
    assert {name: values.shape for name, values in found.items()} == SHAPES
    assert all(np.isfinite(values).all() for values in found.values())


def weight_files(rng: Rng) -> list[Case]:
    values = {name: rng.random(shape, np.float32) for name, shape in SHAPES.items()}
    theirs = {
        n: np.ascontiguousarray(rng.random(e.file_shape, np.float32)) for n, e in FOREIGN.items()
    }
    found = []
    for name in ("network.bin", "x.safetensors", "x.npz"):
        path = os.path.join(FOLDER.name, name)
        weights.write(path, TINY, values)
        found.append(Case(name, Path(path).read_bytes(), read_weights))
    path = os.path.join(FOLDER.name, "half.safetensors")
    weights.write(path, TINY, values, half=True)
    found.append(Case("half.safetensors", Path(path).read_bytes(), read_weights))
    named = {f"module.{name}": array for name, array in theirs.items()}
    named["module.num_batches_tracked"] = np.array(1)
    found.append(Case("torch.safetensors", safetensors.numpy.save(named), read_weights))
    arrays = {f"{name}.npy": npy(array) for name, array in theirs.items()}
    first, *_ = arrays

    def zipped(inner: bytes, how: int) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", how) as archive:
            for name, data in {**arrays, first: inner}.items():
                archive.writestr(name, data)
        return stream.getvalue()

    for how in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found.append(
            Case(f"packed{how}.npz", arrays[first], read_weights, lambda d, how=how: zipped(d, how))
        )
    blob = {
        name: caffe_layer(name, array) for name, array in zip(CAFFE, theirs.values(), strict=True)
    }
    found.append(Case("x.caffemodel", b"".join(blob.values()), read_weights))
    found.append(Case("x.pict", pict_file(rng), read_weights))
    if find_spec("torch"):
        import torch

        tensors = {name: torch.from_numpy(array) for name, array in theirs.items()}
        for zip_file in (True, False):
            stream = io.BytesIO()
            torch.save(tensors, stream, _use_new_zipfile_serialization=zip_file)
            found.append(Case(f"zip{zip_file}.pth", stream.getvalue(), read_weights))
            if zip_file:
                found.append(pickle_case(stream))
    return found


def pickle_case(stream: io.BytesIO) -> Case:
    """A checkpoint whose pickle is changed: the zip around it is right, its checksums too."""
    with zipfile.ZipFile(stream) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    first = next(name for name in members if name.endswith("/data.pkl"))

    def zipped(inner: bytes) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for name, data in {**members, first: inner}.items():
                archive.writestr(name, data)
        return stream.getvalue()

    return Case("pickle.pth", members[first], read_weights, zipped)


def npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def caffe_layer(name: str, values: np.ndarray) -> bytes:
    def field(number: int, content: bytes) -> bytes:
        size = len(content)
        length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
        key = number << 3 | 2
        return (
            (bytes([key]) if key < 128 else bytes([key & 127 | 128, key >> 7])) + length + content
        )

    packed = field(5, values.astype("<f4").tobytes())
    unpacked = b"".join(b"\x2d" + value.tobytes() for value in values.astype("<f4").reshape(-1))
    blob = (packed if values.ndim > 1 else unpacked) + field(7, field(1, bytes(values.shape)))
    return field(100, field(1, name.rpartition(".")[0].encode()) + field(7, blob))


def pict_file(rng: Rng) -> bytes:
    entries = [{"name": tensorflow_name(e.name), "shape": e.file_shape} for e in LAYOUT]
    header = json.dumps(entries).encode()
    codebook = rng.random(pict.CODES, np.float32).astype("<f4").tobytes()
    codes = rng.bytes(sum(int(np.prod(e.file_shape)) for e in LAYOUT))
    return b"".join(struct.pack(">I", len(part)) + part for part in (header, codebook, codes))


def number_files(rng: Rng) -> list[Case]:
    images = rng.integers(0, 256, (3, 28, 28), np.uint8)
    plain = b"\0\0\x08\3" + np.array(images.shape, ">u4").tobytes() + images.tobytes()
    marks = b"\0\0\x08\1" + np.array([9], ">u4").tobytes() + bytes(range(9))
    latents = rng.random((70, 100))

    def zipped(data: bytes) -> bytes:
        return gzip.compress(data, mtime=0)

    def chunks(reader: Any) -> None:
        with reader:
            for chunk in reader.chunks(64):
                assert len(chunk)

    return [
        Case("images.idx", plain, digits.read),
        Case("images.idx.gz", plain, digits.read, zipped),
        Case("any.idx", plain, lambda path: idx.read(path, 3)),
        Case("labels.idx", marks, lambda path: idx.read(path, 1)),
        Case("labels.gz", marks, lambda path: idx.read(path, 1), zipped),
        Case("c.npy", npy(latents), lambda path: chunks(open_latents(path))),
        Case("f.npy", npy(np.asfortranarray(latents, "f4")), lambda p: chunks(NpyLatentReader(p))),
        Case("x.rgb", rng.bytes(196_608), lambda path: chunks(RgbReader(path))),
        Case("x.bin", rng.bytes(64), lambda p: chunks(RawReader(p, (2, 2), "<f4", "2x2"))),
        Case("result.bin", rng.bytes(64), lambda path: compare(path, path)),
    ]


def texts(rng: Rng) -> list[Case]:
    rows = "\n".join(" ".join(f"{v:.3g}" for v in row) for row in rng.standard_normal((3, 100)))
    faces = "2\n" + "\n".join(
        " ".join(f"{v:.4f}" for v in row) for row in rng.uniform(-1, 1, (2, 12_288))
    )

    def all_latents(path: str) -> None:
        with open_latents(path) as reader:
            assert sum(map(len, reader.chunks(2))) == reader.count

    return [
        Case("latents.txt", f"3\n{rows}\n".encode(), all_latents),
        Case("faces.txt", faces.encode(), lambda path: compare(path, path)),
        Case("list.txt", b"\xef\xbb\xbfa.png\r\n\nb c.jpg\n", lambda path: pictures_of([path])),
        Case("names.txt", "eins\nzwei\r\ndrei \u2028\n".encode(), lambda p: labels.read(p, 3)),
    ]


def picture_files(rng: Rng) -> list[Case]:
    grey = Image.fromarray(rng.integers(0, 256, (9, 13), np.uint8))
    deep = Image.fromarray(rng.integers(0, 65536, (9, 13), np.uint16))
    rgb = Image.merge("RGB", [grey, grey.rotate(180), grey.point(lambda v: 255 - v)])
    rgba = Image.merge("RGBA", [*rgb.split(), grey])
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "x"
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    more: dict[str, Any] = {"exif": exif, "icc_profile": profile}
    made = [
        ("a.png", rgba, "PNG", more), ("b.png", deep, "PNG", {}), ("c.png", grey, "PNG", more),
        ("d.png", rgb.quantize(16), "PNG", {"transparency": 3}), ("a.jpg", rgb, "JPEG", more),
        ("b.jpg", rgb.convert("CMYK"), "JPEG", {}), ("c.jpg", grey, "JPEG", {"progressive": True}),
        ("a.gif", rgb.quantize(16), "GIF", {}), ("a.webp", rgba, "WEBP", more),
        ("b.webp", rgb, "WEBP", {"lossless": True}), ("a.bmp", rgb, "BMP", {}),
        ("a.ppm", rgb, "PPM", {}), ("a.pgm", deep, "PPM", {}), ("a.tif", rgb, "TIFF", more),
        ("b.tif", deep, "TIFF", {"compression": "tiff_lzw"}), ("a.jp2", rgb, "JPEG2000", {}),
        ("c.tif", grey.convert("1"), "TIFF", {"compression": "group4"}),
        ("a.avif", rgb, "AVIF", {}),
        ("d.tif", rgb, "TIFF", {"compression": "jpeg"}),
    ]  # fmt: skip
    if find_spec("pillow_heif"):
        import pillow_heif

        pillow_heif.register_heif_opener()
        made.append(("a.heic", rgb, "HEIF", {}))
    found = []
    for name, image, kind, options in made:
        stream = io.BytesIO()
        try:
            image.save(stream, kind, **options)
        except (OSError, KeyError):  # this Pillow cannot write it
            continue
        wrap = checked_png if kind == "PNG" else bytes
        found.append(Case(name, stream.getvalue(), read_picture, wrap, PICTURE_BYTES))
    return found


def read_picture(path: str) -> None:
    data = Path(path).read_bytes()
    decoded = photo.decode(data)
    height, width = decoded.pixels.shape[:2]
    assert decoded.pixels.shape == (height, width, 3) and decoded.pixels.dtype == np.uint8
    photo.size(data)


def checked_png(data: bytes) -> bytes:
    """The checksums of a PNG's chunks made right, so that what is in them is looked at."""
    result, at = bytearray(data), 8
    while at + 12 <= len(result):
        size = int.from_bytes(result[at : at + 4], "big")
        end = at + 8 + size
        if end + 4 > len(result):
            break
        result[end : end + 4] = zlib.crc32(result[at + 4 : end]).to_bytes(4, "big")
        at = end + 4
    return bytes(result)


def run_files() -> list[Case]:
    """What runs leave beside their outputs: damaged, it counts as none."""
    line = {
        "source": "/photos/cat.jpg", "size": 3, "mtime_ns": 5, "sha256": "9f", "settings": "4c",
        "outputs": {"cat.png": 60210}, "facts": {}, "written_ns": 1763,
    }  # fmt: skip
    entry = {"key": "0" * 64, "chunks": 2, "bytes": {"out": 5}}

    def read_manifest(path: str) -> None:
        target = Path(FOLDER.name, "results", ".facegen", "0-of-1-rank-0.jsonl")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, target)
        manifest = Manifest(str(target.parents[1]))
        record = manifest.record(str(target.parents[1] / "cat.png"))
        if record is not None:
            manifest.complete(record)

    def read_journal(path: str) -> None:
        output = os.path.join(FOLDER.name, "out")
        journal = Journal([output], 9, 2, [], {})
        key = journal._key.encode()
        data = Path(path).read_bytes().replace(b"0" * 64, key)
        Path(FOLDER.name, ".out.facegen-journal").write_bytes(data)
        Path(FOLDER.name, ".out.facegen-part").write_bytes(b"12345")
        journal = Journal([output], 9, 2, [], {})
        assert 0 <= journal.done <= 9 and journal.resume(output)[1] <= 5

    return [
        Case("x.jsonl", json.dumps(line).encode() + b"\n", read_manifest),
        Case("x.journal", json.dumps(entry).encode(), read_journal),
    ]
