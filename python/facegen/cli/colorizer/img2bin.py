"""facegen colorizer img2bin LIST OUT.bin: pictures to lightness."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.terminal import counted


@click.command(
    "img2bin",
    epilog=options.examples(
        "facegen colorizer img2bin list.txt input.bin",
        "facegen colorizer img2bin robot.png castle.jpg input.bin",
    ),
)
@click.argument("pictures", metavar="LIST|PICTURE...", nargs=-1, required=True, type=click.Path())
@click.argument("out", metavar="OUT.bin", type=click.Path(allow_dash=True))
@options.common
def command(pictures: tuple[str, ...], out: str) -> None:
    """Write L of pictures, each resized to 256x256.

    LIST is a text file with the path of a picture a line. OUT.bin gets 256x256 float32 values from
    0 to 100 a picture, in their order; '-' is standard output.
    """
    from facegen.cli.colorizer.lists import pictures_of
    from facegen.cli.progress import progress
    from facegen.runs.lab_files import write_lightness

    paths = pictures_of(pictures)
    inputs = {f"picture {path}": path for path in [*pictures, *paths]}
    options.check_distinct(inputs, {"OUT.bin": out})
    write_lightness(paths, out, progress)
    terminal.say(f"{out}: {counted(len(paths), 'picture')}")
