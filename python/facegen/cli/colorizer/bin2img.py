"""facegen colorizer bin2img PICTURE... OUTPUT.bin: pictures in colour."""

from __future__ import annotations

import os

import click

from facegen.cli import options, terminal
from facegen.cli.terminal import counted


@click.command(
    "bin2img",
    epilog=options.examples(
        "facegen colorizer bin2img robot.png output.bin",
        "facegen colorizer bin2img list.txt output.bin",
    ),
)
@click.argument("pictures", metavar="LIST|PICTURE...", nargs=-1, required=True, type=click.Path())
@click.argument("output", metavar="OUTPUT.bin", type=click.Path())
@options.common
def command(pictures: tuple[str, ...], output: str) -> None:
    """Write NAME_colorized.png beside each picture.

    The pictures are those that img2bin was given, in the same order. Each keeps its size and its
    own L; a and b of OUTPUT.bin are resized.
    """
    from facegen import FacegenError
    from facegen.cli.colorizer.lists import pictures_of
    from facegen.cli.progress import progress
    from facegen.media.lab_planes import AbReader
    from facegen.runs.lab_files import write_coloured

    paths = pictures_of(pictures)
    names = [os.path.splitext(path)[0] + "_colorized.png" for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise FacegenError(f"{twice}: would be written for several of the pictures")
    options.check_distinct({"OUTPUT.bin": output}, dict(zip(names, names, strict=True)))
    with AbReader(output) as colours:
        if colours.count is None:
            raise FacegenError(f"{output}: expected a regular file, found a pipe")
        if colours.count != len(paths):
            found = counted(colours.count, "picture")
            raise FacegenError(f"{output}: holds colours of {found}, {len(paths):,} are named")
        write_coloured(paths, names, colours, progress)
    for name in names:
        terminal.say(name)
