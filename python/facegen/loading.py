"""Models made of a file of weights, or of the name of a published network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from facegen import graphs, hub
from facegen.errors import FormatError
from facegen.graphs import GraphNetwork, for_any_size
from facegen.networks import NETWORKS, Network
from facegen.networks.families import FAMILIES
from facegen.networks.files import resolve
from facegen.networks.graph_model import GraphModel
from facegen.networks.model import Model
from facegen.networks.recognise import known_of_family, of_own_classes, read_any, read_graph
from facegen.nn import Graph
from facegen.weights import safetensors

Size = tuple[int, int] | Literal["any"]


def read_network(
    path: str | os.PathLike[str] | None,
) -> tuple[Network, dict[str, np.ndarray]]:
    """Which known network a file holds, and its canonical weights."""
    return read_any(resolve(path), NETWORKS.values(), FAMILIES)


def load(
    path: str | os.PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "float32",
    algorithm: str = "auto",
    size: Size | None = None,
) -> Any:
    """Look into a file of weights and return the model that it is for.

    Parameters
    ----------
    path
        A file of weights in any of `facegen.weights.FORMATS`, told by its content (a .caffemodel
        alone by its name); or the name of a network that ``facegen fetch`` got. The package's own
        faces if None or "default", its digits if "default:lenet". A network of any kind from an
        .onnx file, where its operators are among ours, or from a file that `save` wrote
        (``docs/networks.md``).
    device
        "auto", "cpu", "cuda", "cuda:0,1" or "all"; only "auto" may fall back to the CPU.
    threads
        CPU threads, at least 1; all that this process may use if None.
    precision
        "float32" (its accuracy, by the fastest arithmetic) or "strict" (its very products); on
        processors with AMX also "bfloat16", on GPUs also "tf32" or "float16".
    algorithm
        "auto", or "direct": none of lower complexity than the definition's, such as Winograd's.
    size
        Of a file that has a graph: (height, width) of the maps that go in, where its layers are
        for any; or "any", where every batch may have another. None: as the file says, which is
        "any" for ONNX with symbolic heights and widths.

    Returns
    -------
    The network's model: a `facegen.Generator` for a DCGAN, and so on; a `facegen.GraphModel` for a
    file that has the graph of another.

    Raises
    ------
    FormatError
        The file holds no known network, or is damaged.
    FacegenError
        Neither the package nor the cache of fetched networks has weights of that name.
    DeviceError
        The device or the precision is not to be had.
    ValueError
        `threads`, `algorithm` or `size` is none of those.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> generator = load()
    >>> generator.generate(range(4)).shape
    (4, 64, 64, 3)
    """
    options: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "precision": precision,
        "algorithm": algorithm,
    }
    file = resolve(path)
    found = read_graph(file)
    if found is not None:
        family = _model_of(found) if size is None else None
        if family is None:
            return GraphModel(at_size(found, size, file), **options)
        return family.model.of(family, found.weights, **options)
    if size is not None:
        raise ValueError(f"{file}: has no graph, whose size could be chosen")
    network, tensors = read_any(file, NETWORKS.values(), FAMILIES)
    return network.model.of(network, tensors, **options)


def _model_of(found: GraphNetwork) -> Network | None:
    """What a graph's file says that it is, where there is a model of it."""
    return of_own_classes(found, tuple(NETWORKS.values())) or known_of_family(found, FAMILIES)


def at_size(
    network: GraphNetwork, size: Size | None, where: str | os.PathLike[str]
) -> GraphNetwork:
    """A network for maps of a size, or of any.

    Raises
    ------
    FormatError
        Its layers are for another size alone; the message names `where`.
    """
    if size is None:
        return network
    sides = size if isinstance(size, tuple | list) else ()
    if size != "any" and (len(sides) != 2 or not all(isinstance(n, int) and n > 0 for n in sides)):
        raise ValueError(f"size must be (height, width) or 'any', not {size!r}")
    try:
        if network.at is None:
            network = for_any_size(network)
        if size == "any":
            return network
        free = [(e.shape[0], *sides) if e.free else e.shape for e in network.inputs]
        assert network.at is not None
        return network.at(free)
    except ValueError as error:
        text = str(error)
        raise FormatError(text if text.startswith(f"{where}: ") else f"{where}: {text}") from None


def load_known(path: str | os.PathLike[str] | None = None, **options: Any) -> Model:
    """The model of one of our networks, also where a file has a graph of the same ends.

    Options and errors are those of `load`.
    """
    network, tensors = read_network(path)
    model: Model = network.model.of(network, tensors, **options)
    return model


def read_whole(path: str | os.PathLike[str] | None) -> GraphNetwork:
    """The graph and the weights of any file of a network, ours too.

    Errors are those of `load`.
    """
    file = resolve(path)
    found = read_graph(file)
    if found is not None:
        return found
    network, tensors = read_any(file, NETWORKS.values(), FAMILIES)
    return GraphNetwork.of(network.graph(), tensors, network.name)


def save(
    path: str | os.PathLike[str],
    network: Graph | Model,
    weights: Mapping[str, np.ndarray] | None = None,
    half: bool = False,
) -> None:
    """Write a network of any kind, its graph with its weights, for `load` to read.

    Parameters
    ----------
    path
        Its extension is .safetensors, or .onnx (which takes the package onnx); the file appears
        when it is complete.
    network
        A graph, with its `weights`; or a model, whose network is written with its own, or with
        `weights` where they are given.
    half
        Round layers' weights to float16, which halves the file.

    Raises
    ------
    FormatError
        Another extension, or weights that are not the graph's or too large for float16.
    TypeError
        It is neither a graph nor a model.
    OSError
        The file cannot be written.

    Examples
    --------
    >>> save("small.safetensors", graph, weights)
    >>> load("small.safetensors")(images)
    """
    write_graph(path, _whole(network, weights), half)


def _whole(network: Graph | Model, weights: Mapping[str, np.ndarray] | None) -> GraphNetwork:
    """What `save` writes."""
    if isinstance(network, Graph):
        return GraphNetwork.of(network, weights or {})
    if isinstance(network, GraphModel):
        whole = network.graph_network
        if weights is None:
            return whole
        own = GraphNetwork.of(whole.graph, weights).weights  # which are checked
        return replace(whole, weights=own, at=None)
    if isinstance(network, Model):
        known = network.network
        weights = network.weights if weights is None else weights
        known_as = None if known.classes else known.name
        whole = GraphNetwork.of(known.graph(), weights, known_as)
        return replace(whole, classes=known.classes, preparation=known.preparation)
    raise TypeError(f"expected a Graph or a model, found {type(network).__name__}")


def write_graph(path: str | os.PathLike[str], network: GraphNetwork, half: bool = False) -> None:
    """Write a network with its graph in the format of the path's extension.

    Raises
    ------
    FormatError
        Another extension, or what the format does not hold.
    FacegenError
        It is ONNX, and the package onnx is not installed.
    OSError
        The file cannot be written.
    """
    extension = os.path.splitext(os.fspath(path))[1].lower()
    if extension not in (safetensors.FORMAT.extension, graphs.ONNX):
        raise FormatError(
            f"{path}: extension {extension!r} is no format of graphs, expected "
            f"{safetensors.FORMAT.extension} or {graphs.ONNX}"
        )
    if extension == safetensors.FORMAT.extension:
        graphs.write(path, network, half)
    elif half:
        raise FormatError(f"{path}: half precision is for {safetensors.FORMAT.extension} only")
    else:
        from facegen import onnx_files

        onnx_files.write(path, network)


def fetch(
    name: str,
    mirror: str | None = None,
    offline: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Path:
    """The file of a network that others published: from the cache, or downloaded into it.

    Where no digest of it is published, the first file must hold the network, and later ones must be
    the same. All the rest is as for `facegen.hub.fetch`.

    Examples
    --------
    >>> fetch("colorizer")  # the path of the file
    """
    return hub.fetch(name, _check_published, mirror, offline, advance)


def _check_published(path: Path, published: hub.Published) -> None:
    read_any(path, [NETWORKS[published.network]])
