"""Weights in files: one module a format, each reads and writes canonical weights.

Canonical weights are a dict from the names of ``graph.parameters`` to C-contiguous float32 arrays:
``(out, kernel_h, kernel_w, in)`` for convolutions, ``(out, in)`` for linear layers.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from facegen.errors import FormatError
from facegen.numbers.floats import as_float32
from facegen.weights import caffe, named, network_bin, npz, pict, pytorch, safetensors
from facegen.weights.checks import Path, Shape, check_finite, checked, file_size

if TYPE_CHECKING:
    from facegen.networks.network import Network

__all__ = ["FORMATS", "check_extension", "checked", "digest", "halve", "read", "sniff", "write"]

# By a file's extension; reading goes by content.
FORMATS = {".bin": "network.bin", ".safetensors": "safetensors", ".npz": "npz"}


def sniff(path: Path) -> str:
    """Format of a file by its content; what is none of the others is network.bin.

    A .caffemodel alone goes by its name: nothing in its content tells it.
    """
    size = file_size(path)
    if os.fspath(path).lower().endswith(caffe.EXTENSION):
        return "caffe"
    with open(path, "rb") as file:
        start = file.read(len(pytorch.BARE_MAGIC))
    if start.startswith(b"PK\x03\x04"):
        return "pytorch" if pytorch.is_checkpoint(path) else "npz"
    if start == pytorch.BARE_MAGIC:
        return "pytorch"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size - 8:
        return "safetensors"
    if start[4:7] == b'[{"':
        return "pict"
    return "network.bin"


def read(path: Path, networks: Iterable[Network]) -> tuple[Network, dict[str, np.ndarray]]:
    """Find out which of `networks` a file holds, and read its canonical weights.

    A network.bin is known by its size, the others by their metadata, names or shapes; a .pict is
    always pix2pix.

    Raises
    ------
    FormatError
        It holds none of them, or is damaged; the message names the file and the place.
    FacegenError
        It takes a library that is not installed: PyTorch's checkpoints, Caffe's models.
    OSError
        The file cannot be read.
    """
    networks = list(networks)
    kind = sniff(path)
    if kind == "network.bin":
        network = _by_size(path, networks)
        assert network.binary_layout is not None  # it was found by its size
        tensors = network_bin.read(path, network.binary_layout)
    elif kind == "safetensors":
        header = safetensors.read_header(path)
        network = _by_tensors(path, networks, header.shapes, header.network)
        tensors = safetensors.read(path, network.shapes)
    elif kind == "pytorch":
        network, tensors = _foreign(path, networks, pytorch.read(path), "checkpoint_layout")
    elif kind == "caffe":
        network, tensors = _foreign(path, networks, caffe.read(path), "caffe_layout")
    elif kind == "pict":
        network = _by_tensors(path, networks, {}, "pix2pix")
        assert network.binary_layout is not None  # a .pict has the same tensors
        tensors = pict.read(path, network.binary_layout)
    else:
        network, tensors = _read_npz(path, networks)
    return network, {name: tensors[name] for name in network.shapes}


def _read_npz(path: Path, networks: list[Network]) -> tuple[Network, dict[str, np.ndarray]]:
    """Of canonical names, or of those that a network knows from elsewhere."""
    shapes = npz.read_header(path)
    for network in networks:
        layout = network.npz_layout
        if layout is not None and layout.keys() & shapes.keys():
            tensors = npz.read(path, {name: entry.file_shape for name, entry in layout.items()})
            return _foreign(path, [network], tensors, "npz_layout")
    network = _by_tensors(path, networks, shapes)
    return network, npz.read(path, network.shapes)


def _foreign(
    path: Path, networks: list[Network], tensors: Mapping[str, np.ndarray], layout: str
) -> tuple[Network, dict[str, np.ndarray]]:
    """Canonical weights from another program's tensors; `layout` is the field that names them."""
    layouts = {n.name: getattr(n, layout) for n in networks if getattr(n, layout) is not None}
    name = _by_names(path, layouts, tensors)
    (network,) = (network for network in networks if network.name == name)
    weights = named.canonical(path, tensors, layouts[name])
    return network, weights if network.adapt is None else network.adapt(weights)


def _by_size(path: Path, networks: list[Network]) -> Network:
    size = file_size(path)
    sizes = {
        network.name: network_bin.size_bytes(network.binary_layout)
        for network in networks
        if network.binary_layout is not None
    }
    for network in networks:
        if sizes.get(network.name) == size:
            return network
    known = "; ".join(f"{name}: {expected:,} bytes" for name, expected in sizes.items())
    raise FormatError(
        f"{path}: found {size:,} bytes, which is no network.bin's size ({known or 'there is none'})"
        ", and no other format of weights"
    )


def _by_tensors(
    path: Path, networks: list[Network], shapes: Mapping[str, Shape], name: str | None = None
) -> Network:
    names = ", ".join(network.name for network in networks)
    if name is not None:
        for network in networks:
            if network.name == name:
                return network
        raise FormatError(f"{path}: holds the network {name!r:.100}, expected {names}")
    for network in networks:
        if network.shapes == shapes:
            return network
    if len(networks) == 1:
        return networks[0]  # its reader says which tensor differs
    raise FormatError(f"{path}: its {len(shapes)} tensors are those of no network ({names})")


def _by_names(path: Path, layouts: Mapping[str, named.Layout], names: Iterable[str]) -> str:
    """The network with most of a file's names, of equals the one with the fewest others.

    Its reader says which tensor differs.
    """
    found = set(names)
    shared = {name: len(found.intersection(layout)) for name, layout in layouts.items()}
    if not any(shared.values()):
        listed = ", ".join(shared) or "there is none that is read from such a file"
        raise FormatError(f"{path}: its {len(found)} tensors are those of no network ({listed})")
    return max(shared, key=lambda name: (shared[name], -len(layouts[name])))


def write(
    path: Path, network: Network, weights: Mapping[str, np.ndarray], half: bool = False
) -> None:
    """Write canonical weights in the format of the path's extension.

    With `half`, weights of layers are rounded to float16 and take half the room (biases and batch
    norms stay float32); safetensors only.

    Raises
    ------
    FormatError
        Another extension, or weights that are not the network's or too large for float16.
    OSError
        The file cannot be written.
    """
    extension = check_extension(path)
    weights = checked(weights, network.shapes)
    if half:
        if extension != ".safetensors":
            raise FormatError(f"{path}: half precision is for .safetensors only")
        weights = halve(weights)
    if extension == ".bin":
        if network.binary_layout is None:
            raise FormatError(f"{path}: {network.name} has no network.bin; use .safetensors")
        network_bin.write(path, network.binary_layout, weights)
    elif extension == ".safetensors":
        safetensors.write(path, network.name, weights)
    else:
        npz.write(path, weights)


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
    if extension not in FORMATS:
        known = ", ".join(FORMATS)
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
