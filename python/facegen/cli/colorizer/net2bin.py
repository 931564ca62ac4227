"""facegen colorizer net2bin CHECKPOINT OUT.bin: PyTorch's weights as network.bin."""

from __future__ import annotations

import click

from facegen.cli import options


@click.command(
    "net2bin",
    epilog=options.examples(
        "facegen colorizer net2bin colorization_release_v2-9b330a0b.pth network.bin"
    ),
)
@click.argument("checkpoint", metavar="CHECKPOINT", type=click.Path())
@click.argument("out", metavar="OUT.bin", type=click.Path())
@options.common
def command(checkpoint: str, out: str, quiet: bool) -> None:
    """Write the weights of a PyTorch checkpoint as network.bin.

    CHECKPOINT is the published one of the colorizer, or any with the same tensors. OUT.bin has
    128,964,012 bytes. The same as facegen convert, which also writes other formats.
    """
    from facegen import weights
    from facegen.networks.colorizer import COLORIZER
    from facegen.weights import network_bin

    options.check_distinct({"CHECKPOINT": checkpoint}, {"OUT.bin": out})
    _, tensors = weights.read(checkpoint, [COLORIZER])
    assert COLORIZER.binary_layout is not None
    network_bin.write(out, COLORIZER.binary_layout, tensors)
    if not quiet:
        size = network_bin.size_bytes(COLORIZER.binary_layout)
        click.echo(f"{out}: {len(tensors)} tensors, {size:,} bytes")
