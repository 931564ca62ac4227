"""facegen convert SRC DST: weights from one format to another."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.derived import DerivedHelp


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
    ),
)
@click.argument("source", metavar="SRC", type=click.Path(), shell_complete=options.networks)
@click.argument("target", metavar="DST", type=click.Path())
@options.half
@options.overwrite
@options.common
def command(source: str, target: str, half: bool, overwrite: bool) -> None:
    """Convert weights between formats.

    SRC is a {readable}, known by its content (a .caffemodel by its name); the name of a fetched
    network; default, the package's own faces, or default:lenet, its digits. DST becomes {writable}
    by its extension ({few}). The new file is read back and compared value by value.
    """
    from facegen import FacegenError, weights
    from facegen.loading import write_graph
    from facegen.networks import NETWORKS
    from facegen.networks.files import resolve
    from facegen.networks.recognise import known_network, read_any, read_graph

    if not overwrite:
        options.refuse_existing(target)
    file = resolve(source)
    found = read_graph(file)
    terminal.detail(f"network {file} ({weights.sniff(file).name if found is None else 'a graph'})")
    network = None if found is None else known_network(found, NETWORKS.values())
    if found is not None and network is None:
        write_graph(target, found, half)
        copy, tensors, name = read_graph(target), found.weights, found.graph.name
        copied = copy.weights if copy is not None else {}
    else:
        network, tensors = read_any(file, NETWORKS.values())
        weights.write(target, network, tensors, half)
        (_, copied), name = read_any(target, [network]), network.name
    expected = weights.halve(tensors) if half else tensors
    if weights.digest(copied) != weights.digest(expected):
        raise FacegenError(f"{target}: reads back other values than those of {source}")
    values = sum(tensor.size for tensor in tensors.values())
    terminal.say(f"{target}: {name}, {len(tensors)} tensors, {values:,} values, verified")
