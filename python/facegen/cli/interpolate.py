"""facegen interpolate: a walk from face to face."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.seeds import SeedList, Seeds

MAX_FRAMES = 10_000


@click.command(
    "interpolate",
    epilog=options.examples(
        "facegen interpolate --seeds 1,5,9 --frames 60 -o faces.gif",
        "facegen interpolate --seeds 0-7 --frames 480 --fps 60 -o faces.mp4",
        "facegen interpolate --seeds 1,5 --scale 1 -o - | ffmpeg -f rawvideo -pix_fmt rgb24 "
        "-s 64x64 -r 25 -i - faces.webm",
    ),
)
@click.option(
    "-s", "--seeds", type=Seeds(MAX_FRAMES), required=True, help="Two or more, as 1,5,9 or 0-7."
)
@click.option(
    "--frames", type=click.IntRange(2, MAX_FRAMES), default=60, show_default=True, help="In all."
)
@click.option(
    "-o", "--output", required=True, type=click.Path(allow_dash=True),
    help=".gif, .mp4 (needs the extra [video]) or .rgb; - writes raw RGB24 frames to stdout.",
)
@click.option("--loop/--no-loop", default=True, show_default=True, help="Return to the first face.")
@click.option("--fps", type=options.FiniteRange(1, 240), default=25.0, show_default=True)
@click.option(
    "--scale", type=click.IntRange(1, 16), default=4, show_default=True,
    help="Enlarge the frames by this factor.",
)
@options.network
@options.overwrite
@options.engine
@options.common
def command(
    seeds: SeedList,
    frames: int,
    output: str,
    loop: bool,
    fps: float,
    scale: int,
    network: str | None,
    overwrite: bool,
    engine: dict[str, Any],
) -> None:
    """Walk from the face of each seed to that of the next.

    On the way the latent vectors stay distributed as those of seeds are, so faces between look like
    the others.
    """
    if len(seeds) < 2:
        raise click.UsageError("--seeds: a walk needs two seeds at least")
    terminal.give_stdout_to({"--output": output})
    if not overwrite:
        options.refuse_existing(output)

    from facegen import Generator
    from facegen.cli.models import prepared
    from facegen.media import animation
    from facegen.media.pictures import rgb
    from facegen.networks.paths import walk

    animation.writer(output)  # refuse a name or a missing library before computing
    generator = prepared(Generator, network, engine)
    points = walk(generator.latents(seeds), frames, closed=loop, prior=generator.prior)
    pictures = animation.enlarge(rgb(generator.images(points)), scale)
    animation.save(output, pictures, fps)
    height, width = pictures.shape[1:3]
    terminal.say(f"{output}: {frames:,} frames of {width}x{height}")
