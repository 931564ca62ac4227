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
    from facegen.loading import read_network
    from facegen.networks.files import resolve
    from facegen.networks.recognise import read_any

    if not overwrite:
        options.refuse_existing(target)
    file = resolve(source)
    terminal.detail(f"network {file} ({weights.sniff(file).name})")
    network, tensors = read_network(file)
    weights.write(target, network, tensors, half)
    _, copied = read_any(target, [network])
    expected = weights.halve(tensors) if half else tensors
    if weights.digest(copied) != weights.digest(expected):
        raise FacegenError(f"{target}: reads back other values than those of {source}")
    values = sum(tensor.size for tensor in tensors.values())
    terminal.say(f"{target}: {network.name}, {len(tensors)} tensors, {values:,} values, verified")
