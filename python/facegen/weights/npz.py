"""Weights as .npz: canonical names and layouts, one .npy a tensor, never a pickle.

A .npz is a zip: what it says about its sizes is checked before anything is unpacked, so that a
small hostile file cannot fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import numpy as np

from facegen.errors import FormatError, first_line
from facegen.files.atomic import AtomicFile
from facegen.numbers.floats import as_float32
from facegen.weights.checks import Path, Shape, check_finite, check_names
from facegen.weights.format import ZIP_MAGIC, Contents, Described, Format
from facegen.weights.layout import Layout, arranged, file_shapes

# What reads zips is imported where a file is one: most are not.
if TYPE_CHECKING:
    import zipfile

_SUFFIX = ".npy"
_WHAT = "a complete zip file, as .npz files and PyTorch checkpoints are"


def _tensor_name(path: Path, member: zipfile.ZipInfo) -> str:
    if not member.filename.endswith(_SUFFIX):
        raise FormatError(f"{path}: unknown member {member.filename!r:.100}, expected .npy files")
    return member.filename[: -len(_SUFFIX)]


def read_header(path: Path) -> dict[str, Shape]:
    """Names and shapes; reads no tensor."""
    from facegen.numbers import npy
    from facegen.weights.zips import open_zip

    shapes = {}
    with open_zip(path, _WHAT) as archive:
        for member in archive.infolist():
            name = _tensor_name(path, member)
            with _member(path, name, archive, member) as stream:
                shapes[name] = npy.read_header(stream).shape
    return shapes


@contextmanager
def _member(
    path: Path, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo
) -> Iterator[IO[bytes]]:
    """A member to read from; what is found damaged in it is said of the tensor."""
    from facegen.weights.zips import DAMAGED

    try:
        with archive.open(member) as stream:
            yield stream
    except DAMAGED as error:
        raise FormatError(f"{path}: tensor {name!r:.100}: {first_line(error)}") from error


def read(path: Path, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Canonical weights, which must be exactly the tensors of `shapes`, float32 and finite.

    Raises
    ------
    FormatError
        The file is damaged, or a tensor is missing, unknown, of another shape or type, or holds
        NaN or infinity.
    OSError
        The file cannot be read.
    """
    from facegen.weights.zips import open_zip

    weights = {}
    with open_zip(path, _WHAT) as archive:
        members = archive.infolist()
        check_names(path, shapes, [_tensor_name(path, member) for member in members])
        for member in members:
            name = _tensor_name(path, member)
            with _member(path, name, archive, member) as stream:
                weights[name] = _read_values(shapes[name], member, stream)
            check_finite(path, name, weights[name])
    return {name: weights[name] for name in shapes}


def _read_values(expected: Shape, member: zipfile.ZipInfo, stream: IO[bytes]) -> np.ndarray:
    from facegen.numbers import npy
    from facegen.weights.zips import PIECE_BYTES

    header = npy.read_header(stream)
    if header.shape != expected:
        raise FormatError(f"expected shape {expected}, found {header.shape}")
    if header.dtype.newbyteorder("=") != np.float32:
        raise FormatError(f"expected float32, found {header.dtype}")
    size = header.bytes + header.value_bytes
    if member.file_size != size:
        raise FormatError(f"expected {size:,} bytes, found {member.file_size:,}")
    data = bytearray()
    while piece := stream.read(PIECE_BYTES):  # to the end, which is where the CRC is checked
        data += piece
        if len(data) > header.value_bytes:
            break
    if len(data) != header.value_bytes:
        raise FormatError(f"expected {header.value_bytes:,} bytes of values, found {len(data):,}")
    values = np.frombuffer(data, header.dtype)
    if header.fortran_order:
        values = values.reshape(header.shape, order="F")
    return as_float32(values.reshape(header.shape))


def write(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write canonical weights; the file appears only when it is complete.

    Weights that are all +1 and -1, a bit each, are compressed; others would hardly be smaller.
    """
    import zipfile

    with AtomicFile(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, values in weights.items():
            member = zipfile.ZipInfo(name + _SUFFIX)
            if np.all(np.abs(values) == 1):
                member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=True) as stream:
                np.lib.format.write_array(
                    stream, np.ascontiguousarray(values, "<f4"), allow_pickle=False
                )


def _open(path: Path) -> Contents:
    def read_as(layout: Layout) -> dict[str, np.ndarray]:
        return arranged(read(path, file_shapes(layout)), layout)

    return Contents(read_header(path), read_as)


def _write(path: Path, network: Described, weights: Mapping[str, np.ndarray]) -> None:
    write(path, weights)


FORMAT = Format(
    name="npz",
    title=".npz",
    begins=lambda path, start, size: start.startswith(ZIP_MAGIC),
    open=_open,
    extension=".npz",
    write=_write,
)
