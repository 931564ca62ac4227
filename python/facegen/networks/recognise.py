"""Whose weights a file holds: by its size, its metadata or its tensors, and what networks declare.

A file without names is known by its size (`Network.binary_layout`). One of another program's names
is known by them (`Network.foreign`). All else is ours: its metadata name the network, or its
tensors are exactly that network's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from facegen import weights
from facegen.errors import FormatError
from facegen.networks.network import Network
from facegen.weights import network_bin
from facegen.weights.checks import Path, Shape, file_size
from facegen.weights.layout import Layout, layout_of


def read_any(path: Path, networks: Iterable[Network]) -> tuple[Network, dict[str, np.ndarray]]:
    """Find out which of `networks` a file holds, and read its canonical weights.

    Raises
    ------
    FormatError
        It holds none of them, or is damaged; the message names the file and the place.
    OSError
        The file cannot be read.
    """
    networks = list(networks)
    kind = weights.sniff(path)
    contents = kind.open(path)
    foreign = [network for network in networks if kind.name in network.foreign]
    shapes = contents.shapes
    if shapes is None:
        network = _by_size(path, networks)
        layout: Layout = {entry.name: entry for entry in network.binary_layout or ()}
    elif kind.write is None or any(n.foreign[kind.name].keys() & shapes.keys() for n in foreign):
        network = _by_names(path, foreign, kind.name, shapes)
        tensors = contents.read(network.foreign[kind.name])
        adapted = network.adapt(tensors) if network.adapt else tensors
        return network, network.ordered(adapted, path)
    else:
        network = _by_tensors(path, networks, shapes, contents.network)
        layout = layout_of(network.shapes)
    return network, network.ordered(contents.read(layout), path)


def _by_size(path: Path, networks: Sequence[Network]) -> Network:
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
    listed = f" ({known})" if known else ""
    raise FormatError(
        f"{path}: found {size:,} bytes, which is no network.bin's size{listed}"
        ", and no other format of weights"
    )


def _by_tensors(
    path: Path, networks: Sequence[Network], shapes: Mapping[str, Shape], name: str | None
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


def _by_names(
    path: Path, networks: Sequence[Network], kind: str, shapes: Mapping[str, Shape]
) -> Network:
    if not any(network.foreign[kind].keys() & shapes.keys() for network in networks):
        names = ", ".join(network.name for network in networks)
        listed = names or "there is none that is read from such a file"
        raise FormatError(f"{path}: its {len(shapes)} tensors are those of no network ({listed})")
    return max(networks, key=lambda network: _likeness(network.foreign[kind], shapes))


def closest(names: Iterable[str], networks: Sequence[Network]) -> Network:
    """The network that canonical weights of such names are of; the first, if of none.

    Whoever checks them says which tensor differs.
    """
    return max(networks, key=lambda network: _likeness(network.shapes, names))


def _likeness(expected: Iterable[str], found: Iterable[str]) -> tuple[int, int]:
    """Larger for more of the names that were found, of equals for fewer others."""
    shared = len(set(expected) & set(found))
    return shared, -len(set(expected)) if shared else 0
