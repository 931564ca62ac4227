"""facegen colorize PICTURE... -o DIR: colours for grey pictures, at their full size."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, picture_options
from facegen.cli.shared import SharedCommand


@click.command(
    "colorize",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen colorize old.jpg -o coloured.png",
        "facegen colorize photos -r -o coloured --format same",
        "facegen colorize 'scans/*.tif' -o coloured --network network.bin --strength 0.7",
        "facegen colorize scan16.tif -o coloured.tif --depth 16 --max-pixels 400000000",
        "facegen colorize pages.tif -o coloured.tif",
        "facegen colorize animation.gif -o coloured.webp",
        "facegen colorize - -o - < old.jpg > coloured.png",
    ),
)
@picture_options.inputs
@options.network_of("the fetched colorizer, else the package's own,")
@click.option(
    "--strength",
    type=options.FiniteRange(0, 10),
    default=1.0,
    show_default=True,
    help="What colours are multiplied by: 0 is grey, 1 as the network has them.",
)
@click.option(
    "--depth",
    type=click.Choice(["8", "16", "same"]),
    default="same",
    show_default=True,
    help="Bits a colour of results. 16: PNG and TIFF alone; same: 16 for pictures of more than 8 "
    "where the format holds them.",
)
@picture_options.frames
@picture_options.strip
@options.engine
@options.common
def command(
    network: str | None,
    strength: float,
    depth: str,
    frames: str,
    strip: bool,
    engine: dict[str, Any],
    **files: Any,
) -> int:
    """Give grey pictures colours.

    PICTURE is a file, a folder, a glob or '-'. Results keep the size, the lightness, the alpha
    channel and the colour profile of their pictures, are upright, and say what those say (EXIF and
    the like; --strip). Finished ones are skipped when the command runs again, and made anew where
    the picture, the network or an option changed.
    """
    from facegen import Colorizer
    from facegen.cli import picture_run
    from facegen.cli.first_aid import introduce
    from facegen.cli.models import prepared
    from facegen.networks.files import resolve
    from facegen.photos.encode import check_depth, extension_of
    from facegen.pictures.colorize import SAME, task
    from facegen.pictures.items import is_folder
    from facegen.pictures.pages import Pages

    file = str(resolve(network, "colorizer"))  # first: without one, nothing else matters
    plan = picture_run.plan([""], **files)
    if depth == "16":
        for item in plan.plan.items:
            check_depth(extension_of(item.outputs[0]))
    model = prepared(Colorizer, file, engine)
    introduce(network, file, "colorizer")
    pages = Pages(frames == "first", is_folder(files["output"]))
    work = task(model, strength, strip, SAME if depth == SAME else int(depth), pages)
    return picture_run.carry_out(plan, work, model.runner)
