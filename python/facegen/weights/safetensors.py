"""Weights as safetensors: canonical names and layouts; the metadata says which network.

Tensors may be stored as float16 to halve the file: every float16 is a float32 too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

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

# The header is JSON that the library parses in memory: ours takes about 100 bytes a tensor.
MAX_HEADER_BYTES = 1 << 20


class Header(NamedTuple):
    network: str | None  # what the metadata says
    shapes: dict[str, Shape]


def _open(path: Path) -> Any:
    size = file_size(path)
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if size < 8 or header_bytes > size - 8:
        raise FormatError(
            f"{path}: header of {header_bytes:,} bytes announced at byte 0, in {size:,} bytes"
        )
    if header_bytes > MAX_HEADER_BYTES:
        raise FormatError(
            f"{path}: header of {header_bytes:,} bytes announced at byte 0, "
            f"at most {MAX_HEADER_BYTES:,} expected"
        )
    try:
        return safetensors.safe_open(path, framework="numpy")
    except safetensors.SafetensorError as error:
        raise FormatError(f"{path}: not a valid safetensors file: {error}") from error


def read_header(path: Path) -> Header:
    """Names and shapes, and the network's name where the file tells; reads no tensor."""
    with _open(path) as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        return Header((file.metadata() or {}).get("network"), shapes)


def read(path: Path, shapes: Mapping[str, Shape]) -> dict[str, np.ndarray]:
    """Canonical weights, which must be exactly the tensors of `shapes` and finite; float32.

    Raises
    ------
    FormatError
        The file is damaged, or a tensor is missing, unknown, of another shape or type, or holds
        NaN or infinity.
    OSError
        The file cannot be read.
    """
    with _open(path) as file:
        check_names(path, shapes, file.keys())
        for name, shape in shapes.items():
            tensor = file.get_slice(name)
            check_shape(path, name, shape, tensor.get_shape())
            if tensor.get_dtype() not in ("F32", "F16"):
                found = tensor.get_dtype()
                raise FormatError(f"{path}: tensor {name!r}: expected F32 or F16, found {found}")
        weights = {name: np.asarray(file.get_tensor(name), np.float32) for name in shapes}
    for name, values in weights.items():
        check_finite(path, name, values)
    return weights


def write(path: Path, network: str, weights: Mapping[str, np.ndarray]) -> None:
    """Write canonical weights of `network`, float32 or float16; the file appears when complete."""
    tensors = {name: np.ascontiguousarray(values) for name, values in weights.items()}
    data = safetensors.numpy.save(tensors, metadata={"network": network})
    with AtomicFile(path) as file:
        file.write(data)
