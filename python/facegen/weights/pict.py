""".pict: the weights of pix2pix-tensorflow's public models, 8 bits each.

Three chunks, each a 4-byte big-endian length and so many bytes:

1. UTF-8 JSON, ``[{"name": "generator/decoder_1/conv2d/bias", "shape": [3]}, ...]``
2. the codebook: 256 little-endian float32
3. one byte a weight, in the JSON's order, C order: weight = codebook[byte]

No magic, version or checksum. All three lengths are checked against the file's size and against
the network's tensors before memory is taken for weights.
"""

from __future__ import annotations

from functools import partial
from math import prod
from typing import BinaryIO

import numpy as np

from facegen.errors import FormatError
from facegen.weights.checks import (
    Path,
    Shape,
    check_finite,
    check_names,
    check_shape,
    file_size,
    parse_json,
)
from facegen.weights.format import Contents, Format
from facegen.weights.layout import Layout

CODES = 256
_CODEBOOK_BYTES = 4 * CODES
_LENGTH_BYTES = 4
_LARGEST_HEADER = 1 << 20  # the public models' have about 6 kB

# What older exports call things, and what that means.
_OLDER = {
    "deconv/filter": "an older export (deconv/filter for conv2d_transpose/kernel)",
    "conv/filter": "an older export (conv/filter for conv2d/kernel)",
    "batchnorm/offset": "an older export (batchnorm/offset for batch_normalization/beta)",
    "batchnorm/scale": "an older export (batchnorm/scale for batch_normalization/gamma)",
    "separable_conv2d": "a model of separable convolutions",
    "depthwise_kernel": "a model of separable convolutions",
}


def read(path: Path, layout: Layout) -> dict[str, np.ndarray]:
    """Canonical weights of a .pict.

    Raises
    ------
    FormatError
        The file is damaged, an older variant, or not of this network: says what, and where.
    OSError
        The file cannot be read.
    """
    size = file_size(path)
    with open(path, "rb") as file:
        shapes = _read_header(path, file, size)
        check_names(path, layout, (name for name, _ in shapes))
        for name, shape in shapes:
            check_shape(path, name, layout[name].file_shape, shape)
        codes = sum(prod(shape) for _, shape in shapes)

        _check_length(path, file, size, "codebook", _CODEBOOK_BYTES)
        codebook = np.frombuffer(file.read(_CODEBOOK_BYTES), "<f4").astype(np.float32)
        check_finite(path, "codebook", codebook, file.tell() - _CODEBOOK_BYTES)
        _check_length(path, file, size, "codes", codes)
        if file.tell() + codes != size:
            raise FormatError(f"{path}: expected {file.tell() + codes:,} bytes, found {size:,}")

        weights = {}
        for name, shape in shapes:
            entry = layout[name]
            encoded = np.empty(shape, np.uint8)
            if file.readinto(encoded.reshape(-1).data) != encoded.nbytes:
                raise FormatError(f"{path}: ends inside tensor {name!r:.100}")
            weights[entry.name] = np.ascontiguousarray(codebook[encoded.transpose(entry.axes)])
    return weights


def _read_header(path: Path, file: BinaryIO, size: int) -> list[tuple[str, Shape]]:
    """Names and shapes of the tensors, in the order of their codes."""
    length = _read_length(path, file, "header")
    if not 0 < length <= min(_LARGEST_HEADER, size - _LENGTH_BYTES):
        raise FormatError(
            f"{path}: its header has {length:,} bytes, at most {_LARGEST_HEADER:,} expected, "
            f"in a file of {size:,}"
        )
    tensors = parse_json(path, file.read(length))
    if not isinstance(tensors, list):
        raise FormatError(f"{path}: its header is no list of tensors")
    return [_tensor(path, i, tensor) for i, tensor in enumerate(tensors)]


def _tensor(path: Path, index: int, tensor: object) -> tuple[str, Shape]:
    """One item of the header."""
    name = tensor.get("name") if isinstance(tensor, dict) else None
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    if not isinstance(name, str) or not isinstance(shape, list):
        raise FormatError(f"{path}: item {index} of its header has no name or no shape")
    for older, meaning in _OLDER.items():
        if older in name:
            raise FormatError(f"{path}: tensor {name!r:.100}: {meaning} is not supported")
    if not all(type(n) is int and n > 0 for n in shape):
        raise FormatError(f"{path}: tensor {name!r:.100}: {str(shape)[:80]} is no shape")
    return name, tuple(shape)


def _check_length(path: Path, file: BinaryIO, size: int, chunk: str, expected: int) -> None:
    """The next chunk has the expected length and fits the file."""
    found = _read_length(path, file, chunk)
    if found != expected:
        raise FormatError(f"{path}: expected {expected:,} bytes of {chunk}, announced {found:,}")
    if file.tell() + found > size:
        raise FormatError(f"{path}: ends inside its {chunk}: {size:,} bytes")


def _read_length(path: Path, file: BinaryIO, chunk: str) -> int:
    data = file.read(_LENGTH_BYTES)
    if len(data) != _LENGTH_BYTES:
        raise FormatError(f"{path}: ends before its {chunk}")
    return int.from_bytes(data, "big")


def _open(path: Path) -> Contents:
    size = file_size(path)
    with open(path, "rb") as file:
        shapes = dict(_read_header(path, file, size))
    return Contents(shapes, partial(read, path))


FORMAT = Format(
    name="pict",
    title=".pict",
    begins=lambda path, start, size: start[4:7] == b'[{"',
    open=_open,
)
