"""facegen convert SRC DST: weights from one format to another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from facegen.cli import options, terminal
from facegen.cli.derived import DerivedHelp

if TYPE_CHECKING:
    from facegen.graphs import GraphNetwork
    from facegen.networks import Network


@click.command(
    "convert",
    cls=DerivedHelp,
    epilog=options.examples(
        "facegen convert network.bin network.safetensors",
        "facegen convert network.npz network.bin --overwrite",
        "facegen convert default network.bin",
        "facegen convert network.bin small.safetensors --half",
        "facegen convert edges2cats_AtoB.pict network.bin",
        "facegen convert colorizer colorizer.safetensors",
        "facegen convert network.bin network.onnx",
    ),
)
@click.argument("source", metavar="SRC", type=click.Path(), shell_complete=options.networks)
@click.argument("target", metavar="DST", type=click.Path())
@options.half
@options.overwrite
@options.common
def command(source: str, target: str, half: bool, overwrite: bool) -> None:
    """Convert weights between formats.

    SRC is a {readable}, known by its content (a .caffemodel by its name); a file that has a graph,
    ONNX or facegen.save's; the name of a fetched network; default, the package's own faces, or
    default:lenet, its digits. DST becomes {writable} by its extension ({few}), or .onnx, which
    takes the package onnx. A network of its own becomes .safetensors, with its graph, or .onnx.

    The new file is read back and compared value by value.
    """
    import numpy as np

    from facegen import FacegenError, weights
    from facegen.graphs import is_onnx
    from facegen.loading import write_graph
    from facegen.networks.files import resolve
    from facegen.networks.recognise import read_any, read_graph

    if not overwrite:
        options.refuse_existing(target)
    file = resolve(source)
    network, whole = _read(file)
    expected = weights.halve(whole.weights) if half else whole.weights
    if network is None or is_onnx(target):
        write_graph(target, whole, half)
        written = read_graph(target)
        copied = {} if written is None else written.weights
    else:
        weights.write(target, network, whole.weights, half)
        _, copied = read_any(target, [network])
    # Of a linear layer over a map ONNX has a window, 1x1.
    found, wanted = ({k: np.ravel(v) for k, v in each.items()} for each in (copied, expected))
    if weights.digest(found) != weights.digest(wanted):
        raise FacegenError(f"{target}: reads back other values than those of {source}")
    name = whole.graph.name if network is None else network.name
    values = sum(tensor.size for tensor in wanted.values())
    terminal.say(f"{target}: {name}, {len(wanted)} tensors, {values:,} values, verified")


def _read(file: str | os.PathLike[str]) -> tuple[Network | None, GraphNetwork]:
    """What a file holds; None for the network where it is one of its own."""
    from facegen import weights
    from facegen.graphs import GraphNetwork
    from facegen.loading import read_network
    from facegen.networks import NETWORKS
    from facegen.networks.recognise import known_network, read_graph

    found = read_graph(file)
    if found is not None:
        terminal.detail(f"network {file} (a graph)")
        return known_network(found, NETWORKS.values()), found
    kind = weights.sniff(file)
    terminal.detail(f"network {file} ({kind.name})")
    if part := kind.open(file).part:
        terminal.say(f"{file}: {part}")
    network, tensors = read_network(file)
    whole = GraphNetwork.of(network.graph(), tensors, network.name)
    return network if NETWORKS.get(network.name) is network else None, whole
