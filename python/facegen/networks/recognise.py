"""Whose weights a file holds: by its size, its metadata or its tensors, and what networks declare.

A file without names is known by its size (`Network.binary_layout`). One of another program's names
is known by them (`Network.foreign`), and by their shapes where those make a network of a family
(`facegen.networks.families`); a .safetensors may have PyTorch's names too. One that has a graph,
ONNX or ours, holds the network that computes the same, or any whose inputs and outputs it has. All
else is ours: its metadata name the network, or its tensors are exactly that network's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from facegen import graphs, weights
from facegen.errors import FormatError
from facegen.graphs import GraphNetwork, same_computation
from facegen.networks.families import FORMAT, Family, find
from facegen.networks.foreign import foreign_layout, torch_name
from facegen.networks.network import Network
from facegen.nn import Graph
from facegen.nn import Shape as MapShape
from facegen.weights import network_bin
from facegen.weights.checks import Path, Shape, file_size
from facegen.weights.format import Contents
from facegen.weights.layout import Layout, file_shapes, layout_of

MOST_CLASSES = 254  # of a map's pixels, which are bytes; 255 marks those of none


def read_any(
    path: Path, networks: Iterable[Network], families: Iterable[Family] = ()
) -> tuple[Network, dict[str, np.ndarray]]:
    """Find out which of `networks`, or which one of `families`, a file holds, and read its weights.

    They are canonical.

    Raises
    ------
    FormatError
        It holds none of them, or is damaged; the message names the file and the place.
    OSError
        The file cannot be read.
    """
    networks = list(networks)
    found = read_graph(path)
    if found is not None:
        return _by_graph(path, networks, families, found), found.weights
    kind = weights.sniff(path)
    contents = kind.open(path)
    shapes = contents.shapes
    foreign = [network for network in networks if kind.name in network.foreign]
    network = _of_family(path, networks, families, kind.name, shapes)
    if network is not None:
        return network, _read_foreign(path, contents, network, kind.name)
    network = _of_state_dict(path, networks, families, contents)
    if network is not None and contents.state_dict is not None:
        return network, _read_foreign(path, contents.state_dict, network, FORMAT)
    if shapes is None:
        network = _by_size(path, networks)
        layout: Layout = {entry.name: entry for entry in network.binary_layout or ()}
    elif kind.write is None or any(n.foreign[kind.name].keys() & shapes.keys() for n in foreign):
        where = f"{path} ({contents.part})" if contents.part else path
        network = _by_names(where, foreign, families, kind.name, shapes)
        return network, _read_foreign(path, contents, network, kind.name)
    else:
        network = _by_tensors(path, networks, shapes, contents.network)
        layout = layout_of(network.shapes)
    return network, network.ordered(contents.read(layout), path)


def _read_foreign(
    path: Path, contents: Contents, network: Network, kind: str
) -> dict[str, np.ndarray]:
    tensors = contents.read(network.foreign[kind])
    return network.ordered(network.adapt(tensors) if network.adapt else tensors, path)


def read_graph(path: Path) -> GraphNetwork | None:
    """The network of a file that has a graph, ONNX or saved; None of a file of weights alone.

    Raises
    ------
    FormatError
        The file is damaged, or has what no layer here computes.
    FacegenError
        It is an ONNX file, and the package onnx is not installed.
    OSError
        The file cannot be read.
    """
    if graphs.is_onnx(path):
        from facegen import onnx_files

        return onnx_files.read(path)
    return graphs.read(path) if graphs.is_saved(path) else None


def known_network(
    found: GraphNetwork, networks: Iterable[Network], families: Iterable[Family] = ()
) -> Network | None:
    """The network that computes the very same, with its weights by the same names."""
    for network in sorted(networks, key=lambda each: each.name != found.known_as):
        same_names = network.shapes == found.graph.parameters
        if same_names and same_computation(network.graph(), found.graph):
            return network
    return known_of_family(found, families)


def of_own_classes(found: GraphNetwork, networks: Sequence[Network]) -> Network | None:
    """The network of a file that says which classes it tells apart, of pictures or of pixels."""
    if found.classes is None:
        return None
    return _segmenter_of(found, found.classes, networks) or _classifier_of(found, networks)


def _segmenter_of(
    found: GraphNetwork, classes: tuple[str, ...], networks: Iterable[Network]
) -> Network | None:
    """The layers of one of `networks` that are there for any number of classes."""
    for network in networks:
        if network.of_classes is None or len(classes) > MOST_CLASSES:
            continue
        graph = partial(network.of_classes, len(classes))
        if same_computation(graph(), found.graph):
            return replace(
                network,
                name=found.graph.name,
                summary=f"class of every pixel: {', '.join(classes):.60}",
                graph=graph,
                foreign={},
                adapt=None,
                classes=classes,
            )
    return None


def _classifier_of(found: GraphNetwork, networks: Iterable[Network]) -> Network | None:
    """Any graph of scores that says what becomes of pictures' pixels."""
    if found.preparation is None or found.classes is None:
        return None
    if found.graph.outputs[0].shape[:2] != (1, 1):
        return None
    like = next((each for each in networks if each.model.__name__ == "Classifier"), None)
    if like is None:
        return None
    return replace(
        like,
        name=found.graph.name,
        summary=f"what a picture shows: {', '.join(found.classes):.60}",
        graph=partial(_itself, found.graph),
        binary_layout=None,
        foreign={},
        adapt=None,
        prepare=found.preparation.of_pixels,
        classes=found.classes,
        preparation=found.preparation,
    )


def known_of_family(found: GraphNetwork, families: Iterable[Family]) -> Network | None:
    """The same of a family's network, which files tell of (`GraphNetwork.known_as`)."""
    if found.known_as is None:
        return None
    try:
        network = find(file_shapes(foreign_layout(found.graph, torch_name)), families)
    except ValueError:  # no layers are of such sizes
        return None
    same = network is not None and same_computation(network.graph(), found.graph)
    return network if same else None


def _of_family(
    path: Path,
    networks: Sequence[Network],
    families: Iterable[Family],
    kind: str,
    shapes: Mapping[str, Shape] | None,
) -> Network | None:
    """The network of a family, unless the tensors are just those of one of `networks`."""
    if shapes is None or kind != FORMAT:
        return None
    if any(kind in n.foreign and file_shapes(n.foreign[kind]) == shapes for n in networks):
        return None
    try:
        return find(shapes, families)
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None


def _of_state_dict(
    path: Path, networks: Sequence[Network], families: Iterable[Family], contents: Contents
) -> Network | None:
    """The network that PyTorch's names in another format tell; None where ours tell as much."""
    if contents.state_dict is None or contents.shapes is None:
        return None
    if any(network.shapes == contents.shapes for network in networks):
        return None
    shapes = contents.state_dict.shapes or {}
    network = _of_family(path, networks, families, FORMAT, shapes)
    if network is not None:
        return network
    known = [network for network in networks if FORMAT in network.foreign]
    for network in known:
        if file_shapes(network.foreign[FORMAT]) == shapes:
            return network
    likest = max(known, key=lambda each: _likeness(each.foreign[FORMAT], shapes), default=None)
    if likest is None:
        return None
    as_ours = max(_likeness(each.shapes, contents.shapes) for each in networks)
    return likest if _likeness(likest.foreign[FORMAT], shapes) > as_ours else None


def _by_graph(
    path: Path, networks: Sequence[Network], families: Iterable[Family], found: GraphNetwork
) -> Network:
    """The network itself, or one that has the file's graph in the place of its own."""
    own_classes = of_own_classes(found, networks)
    if own_classes is not None:
        return own_classes
    known = known_network(found, networks, families)
    if known is not None:
        return known
    ends = _shapes(found.graph)
    for network in networks:
        if _shapes(network.graph()) == ends:
            own = partial(_itself, found.graph)
            name = found.graph.name
            return replace(network, name=name, graph=own, binary_layout=None, foreign={})
    listed = "; ".join(f"{n.name}: {_said(_shapes(n.graph()))}" for n in networks)
    raise FormatError(f"{path}: computes {_said(ends)}, expected a network of these ends: {listed}")


def _itself(graph: Graph) -> Graph:
    return graph


_Ends = tuple[tuple[MapShape, ...], tuple[MapShape, ...]]


def _shapes(graph: Graph) -> _Ends:
    inputs, outputs = (tuple(t.shape for t in each) for each in (graph.inputs, graph.outputs))
    return inputs, outputs


def _said(ends: _Ends) -> str:
    """As "227x227x3 -> 1x1x1000"."""
    return " -> ".join(", ".join(map(str, each)) for each in ends)


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
    path: Path,
    networks: Sequence[Network],
    families: Iterable[Family],
    kind: str,
    shapes: Mapping[str, Shape],
) -> Network:
    if not any(network.foreign[kind].keys() & shapes.keys() for network in networks):
        known = [network.name for network in networks]
        names = ", ".join([*known, *(f.name for f in families if kind == FORMAT)])
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
