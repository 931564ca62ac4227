"""Weights in files: one module a format, each reads and writes canonical weights.

Canonical weights are a dict from the names of ``graph.parameters`` to C-contiguous float32 arrays:
``(out, kernel_h, kernel_w, in)`` for convolutions, ``(out, in)`` for linear layers.

Nothing here knows a network: whose weights a file holds is for `facegen.networks.recognise` to say.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping

import numpy as np

from facegen.errors import FormatError
from facegen.numbers.floats import as_float32
from facegen.weights import caffe, network_bin, npz, pict, pytorch, safetensors
from facegen.weights.checks import Path, check_finite, checked, file_size
from facegen.weights.format import START_BYTES, Described, Format

__all__ = [
    "FORMATS",
    "Format",
    "check_extension",
    "checked",
    "digest",
    "extensions",
    "halve",
    "sniff",
    "writable",
    "write",
]

# A file is of the first that it begins as (a checkpoint is a zip as a .npz is), else a network.bin.
FORMATS: tuple[Format, ...] = (
    network_bin.FORMAT,
    caffe.FORMAT,
    safetensors.FORMAT,
    pytorch.FORMAT,
    npz.FORMAT,
    pict.FORMAT,
)


def writable() -> dict[str, Format]:
    """Formats that are written, not only read, by their extensions."""
    return {each.extension: each for each in FORMATS if each.write is not None}


def sniff(path: Path) -> Format:
    """Format of a file by its content; what is none of the others is network.bin.

    A .caffemodel alone goes by its name: nothing in its content tells it.
    """
    size = file_size(path)
    with open(path, "rb") as file:
        start = file.read(START_BYTES)
    return next((each for each in FORMATS if each.begins(path, start, size)), network_bin.FORMAT)


def extensions(network: Described, half: bool = False) -> list[str]:
    """Extensions of files that hold a network's weights, rounded to float16 if `half`."""
    return [
        extension
        for extension, each in writable().items()
        if each.can_hold(network) and (each.halves or not half)
    ]


def write(
    path: Path, network: Described, weights: Mapping[str, np.ndarray], half: bool = False
) -> None:
    """Write canonical weights in the format of the path's extension.

    With `half`, weights of layers are rounded to float16 and take half the room (biases and batch
    norms stay float32), in formats that can hold them.

    Raises
    ------
    FormatError
        Another extension, or weights that are not the network's or too large for float16.
    OSError
        The file cannot be written.
    """
    extension = check_extension(path)
    chosen = writable()[extension]
    weights = checked(weights, network.shapes)
    if half and not chosen.halves:
        those = " and ".join(ending for ending, each in writable().items() if each.halves)
        raise FormatError(f"{path}: half precision is for {those} only")
    if not chosen.can_hold(network):
        those = " or ".join(extensions(network, half))
        raise FormatError(f"{path}: {network.name} has no {chosen.name}; use {those}")
    if half:
        weights = halve(weights)
    assert chosen.write is not None  # it is among the writable ones
    chosen.write(path, network, weights)


def halve(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Layers' weights as float16, to the nearest; biases and batch norms as they are.

    Raises
    ------
    FormatError
        A weight is too large for float16.
    """
    result = dict(weights)
    for name, values in weights.items():
        if name.endswith(".weight"):
            result[name] = as_float32(values, np.float16)
            check_finite("float16", name, result[name])
    return result


def check_extension(path: Path) -> str:
    """The extension of a file of weights to write, or a FormatError."""
    extension = os.path.splitext(os.fspath(path))[1].lower()
    if extension not in writable():
        known = ", ".join(writable())
        raise FormatError(f"{path}: extension {extension!r} is no format of weights ({known})")
    return extension


def digest(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the names, shapes and values: the same in every format of file."""
    sha256 = hashlib.sha256()
    for name in sorted(weights):
        values = np.ascontiguousarray(weights[name], "<f4")
        sha256.update(f"{name} {values.shape}\n".encode())
        sha256.update(values.reshape(-1).view(np.uint8).data)
    return sha256.hexdigest()
