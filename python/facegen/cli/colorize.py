"""facegen colorize PICTURE... -o DIR: colours for grey pictures, at their full size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, picture_options

if TYPE_CHECKING:
    import numpy as np

    from facegen.networks.colorizer import Colorizer
    from facegen.pictures.photo import Photo
    from facegen.pictures.task import Made

BATCH = 16  # pictures computed at once


@click.command(
    "colorize",
    epilog=options.examples(
        "facegen colorize old.jpg -o coloured.png",
        "facegen colorize photos -r -o coloured --format same",
        "facegen colorize 'scans/*.tif' -o coloured --network network.bin --strength 0.7",
        "facegen colorize - -o - < old.jpg > coloured.png",
    ),
)
@picture_options.inputs
@options.network_of("the one that facegen fetch colorizer got")
@click.option(
    "--strength",
    type=click.FloatRange(0, 10),
    default=1.0,
    show_default=True,
    help="What colours are multiplied by: 0 is grey, 1 as the network has them.",
)
@options.device
@options.common
def command(
    network: str | None,
    strength: float,
    device: str,
    threads: int | None,
    precision: str,
    quiet: bool,
    **files: Any,
) -> int:
    """Give grey pictures colours.

    PICTURE is a file, a folder, a glob or '-'. Results keep the size, the lightness, the alpha
    channel and the colour profile of their pictures. Finished ones are skipped when the command
    runs again, and made anew where the picture, the network or an option changed.
    """
    plan = picture_options.plan([""], **files)

    from facegen import weights
    from facegen.networks.colorizer import Colorizer
    from facegen.pictures.task import Task

    model = Colorizer(network, device=device, threads=threads, precision=precision)
    task = Task(
        settings={
            "command": "colorize",
            "network": weights.digest(model.weights),
            "strength": strength,
            "precision": precision,
        },
        prepare=prepare,
        compute=partial(compute, model),
        finish=partial(finish, strength=strength),
        batch=BATCH,
    )
    return picture_options.carry_out(plan, task, model.runner, quiet)


def prepare(photo: Photo) -> np.ndarray:
    """(256, 256) of L."""
    from facegen.media.colorization import network_lightness

    return network_lightness(photo.pixels)


def compute(model: Colorizer, lightness: list[np.ndarray]) -> np.ndarray:
    """(n, 2, 256, 256) of a and b."""
    import numpy as np

    return model.predict_ab(np.stack(lightness))


def finish(photo: Photo, ab: np.ndarray, outputs: tuple[str, ...], strength: float) -> Made:
    """The picture with its colours, one file."""
    from facegen.media.colorization import with_colours
    from facegen.pictures.photo import encode
    from facegen.pictures.task import Made

    (output,) = outputs
    pixels = with_colours(photo.pixels, ab, strength, threads=1)  # many pictures at once
    return Made({output: encode(pixels, output, photo.alpha, photo.profile)})
