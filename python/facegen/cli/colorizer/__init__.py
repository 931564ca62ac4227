"""facegen colorizer PROGRAM: the course's programs around the colorizer, one file each."""

from __future__ import annotations

import click

from facegen.cli import options
from facegen.cli.lazy import LazyGroup

PROGRAMS = {
    "img2bin": "Write the lightness of pictures.",
    "main": "Make colours of lightness.",
    "compbin": "Say whether two results agree.",
    "bin2img": "Join pictures with their colours.",
    "genans": "Make the answer for pictures with PyTorch.",
    "net2bin": "Write network.bin of a PyTorch checkpoint.",
}


@click.group(
    "colorizer",
    cls=LazyGroup,
    package="facegen.cli.colorizer",
    summaries=PROGRAMS,
    subcommand_metavar="PROGRAM [ARGS]...",
    epilog=options.examples(
        "facegen colorizer net2bin colorization_release_v2-9b330a0b.pth network.bin",
        "facegen colorizer img2bin robot.png input.bin",
        "facegen colorizer main input.bin network.bin output.bin",
        "facegen colorizer bin2img robot.png output.bin",
    ),
)
def command() -> None:
    """The course's programs for colouring grey pictures.

    They pass on bare files: lightness in, colours out. Each has a help of its own, and takes
    --quiet, --verbose and --debug.
    """
