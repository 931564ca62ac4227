"""facegen colorizer net2bin [CHECKPOINT] OUT.bin: PyTorch's weights as network.bin."""

from __future__ import annotations

import click

from facegen.cli import options, terminal


@click.command(
    "net2bin",
    epilog=options.examples(
        "facegen fetch colorizer && facegen colorizer net2bin network.bin",
        "facegen colorizer net2bin colorization_release_v2-9b330a0b.pth network.bin",
    ),
)
@click.argument("checkpoints", metavar="[CHECKPOINT]", nargs=-1, type=click.Path())
@click.argument("out", metavar="OUT.bin", type=click.Path())
@options.common
def command(checkpoints: tuple[str, ...], out: str) -> None:
    """Write the weights of a PyTorch checkpoint as network.bin.

    CHECKPOINT is any with the colorizer's tensors; if not given, the published one that facegen
    fetch colorizer got. OUT.bin has 128,964,012 bytes. facegen convert writes other formats too.
    """
    from facegen.networks.colorizer import COLORIZER
    from facegen.networks.files import read, resolve
    from facegen.weights import network_bin

    if len(checkpoints) > 1:
        raise click.UsageError(f"expected 1 or 2 files, found {len(checkpoints) + 1}")
    checkpoint = str(resolve(checkpoints[0] if checkpoints else COLORIZER.name))
    options.check_distinct({"CHECKPOINT": checkpoint}, {"OUT.bin": out})
    _, tensors = read(checkpoint, [COLORIZER])
    assert COLORIZER.binary_layout is not None
    network_bin.write(out, COLORIZER.binary_layout, tensors)
    size = network_bin.size_bytes(COLORIZER.binary_layout)
    terminal.say(f"{out}: {len(tensors)} tensors, {size:,} bytes")
