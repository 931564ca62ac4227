"""Weights as .npz: canonical names and layouts, one .npy a tensor, never a pickle.

A .npz is a zip: what it says about its sizes is checked before anything is unpacked, so that a
small hostile file cannot fill the memory.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from math import prod
from typing import IO

import numpy as np

from facegen.errors import FormatError
from facegen.media.atomic import AtomicFile
from facegen.weights.checks import (
    Path,
    Shape,
    check_finite,
    check_names,
    check_shape,
    file_size,
)

_SUFFIX = ".npy"
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def _open(path: Path) -> zipfile.ZipFile:
    file_size(path)
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        reason = "not a complete zip file, as .npz files and PyTorch checkpoints are"
        raise FormatError(f"{path}: {reason}: {error}") from error
    except _DAMAGED as error:
        raise FormatError(f"{path}: not a valid .npz file: {error}") from error
    return archive


def _tensor_name(path: Path, member: zipfile.ZipInfo) -> str:
    if not member.filename.endswith(_SUFFIX):
        raise FormatError(f"{path}: unknown member {member.filename!r}, expected .npy files")
    return member.filename[: -len(_SUFFIX)]


def _read_npy_header(path: Path, name: str, stream: IO[bytes]) -> tuple[Shape, bool, np.dtype]:
    try:
        version = np.lib.format.read_magic(stream)
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(stream)
        if version == (2, 0):
            return np.lib.format.read_array_header_2_0(stream)
    except _DAMAGED as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path}: tensor {name!r}: {reason}") from error
    raise FormatError(f"{path}: tensor {name!r}: unknown .npy version {version}")


def read_header(path: Path) -> dict[str, Shape]:
    """Names and shapes; reads no tensor."""
    shapes = {}
    with _open(path) as archive:
        for member in archive.infolist():
            name = _tensor_name(path, member)
            with _member(path, name, archive, member) as stream:
                shapes[name] = tuple(_read_npy_header(path, name, stream)[0])
    return shapes


def _member(path: Path, name: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    try:
        return archive.open(member)
    except _DAMAGED as error:
        raise FormatError(f"{path}: tensor {name!r}: {error}") from error


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
    weights = {}
    with _open(path) as archive:
        members = archive.infolist()
        check_names(path, shapes, [_tensor_name(path, member) for member in members])
        for member in members:
            name = _tensor_name(path, member)
            with _member(path, name, archive, member) as stream:
                weights[name] = _read_tensor(path, name, shapes[name], member, stream)
    return {name: weights[name] for name in shapes}


def _read_tensor(
    path: Path, name: str, expected: Shape, member: zipfile.ZipInfo, stream: IO[bytes]
) -> np.ndarray:
    shape, fortran_order, dtype = _read_npy_header(path, name, stream)
    check_shape(path, name, expected, shape)
    if dtype.newbyteorder("=") != np.float32:
        raise FormatError(f"{path}: tensor {name!r}: expected float32, found {dtype}")
    size_bytes = prod(expected) * dtype.itemsize
    header_bytes = stream.tell()
    if member.file_size != header_bytes + size_bytes:
        raise FormatError(
            f"{path}: tensor {name!r}: expected {header_bytes + size_bytes:,} bytes, "
            f"found {member.file_size:,}"
        )
    try:
        data = stream.read(size_bytes)
        end = stream.read(1)  # reading on to the end is what checks the CRC
    except _DAMAGED as error:
        raise FormatError(f"{path}: tensor {name!r}: {error}") from error
    if len(data) != size_bytes or end:
        raise FormatError(f"{path}: tensor {name!r}: ends after {len(data):,} bytes")
    values = np.frombuffer(data, dtype).reshape(expected, order="F" if fortran_order else "C")
    values = np.ascontiguousarray(values, np.float32)
    check_finite(path, name, values)
    return values


def write(path: Path, weights: Mapping[str, np.ndarray]) -> None:
    """Write canonical weights, uncompressed; the file appears only when it is complete."""
    with AtomicFile(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, values in weights.items():
            with archive.open(name + _SUFFIX, "w", force_zip64=True) as stream:
                np.lib.format.write_array(
                    stream, np.ascontiguousarray(values, "<f4"), allow_pickle=False
                )
