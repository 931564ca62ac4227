"""facegen demo [OUT]: a grid of faces, and how fast they were made."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options
from facegen.cli.generate import Grid

ROUNDS = 5  # the fastest of so many runs is reported: the first ones warm up


@click.command(
    "demo",
    epilog=options.examples("facegen demo", "facegen demo faces.png --seed 100 --grid 16x9"),
)
@click.argument("out", metavar="[OUT]", default="faces.png", type=click.Path())
@click.option("--seed", type=click.IntRange(0, 10**18), default=0, show_default=True)
@click.option("--grid", type=Grid(), default="8x8", show_default=True, help="COLUMNSxROWS.")
@options.network
@options.overwrite
@options.engine
@options.common
def command(
    out: str,
    seed: int,
    grid: tuple[int, int],
    network: str | None,
    overwrite: bool,
    engine: dict[str, Any],
    quiet: bool,
) -> None:
    """Draw a grid of faces to a picture (faces.png if not named) and say how fast that was.

    The first face is that of the seed given, the others are of the seeds that follow.
    """
    from time import perf_counter

    from facegen import FacegenError, Generator
    from facegen.media import pictures
    from facegen.media.face_files import FaceFiles
    from facegen.networks.dcgan import latents

    columns, rows = grid
    count = columns * rows
    files = FaceFiles.plan(out, None, count, grid)
    if files.grid is None:
        raise FacegenError(f"{out}: expected a name in .png or .bmp")
    if not overwrite:
        options.refuse_existing(out)
    generator = Generator(network, **engine)
    inputs = latents(range(seed, seed + count))
    seconds = []
    for _ in range(ROUNDS):
        start = perf_counter()
        faces = generator(inputs)
        seconds.append(perf_counter() - start)
    pictures.save(out, pictures.grid(faces, rows, columns))
    if not quiet:
        rate = count / min(seconds)
        click.echo(
            f"{out}: {count:,} faces in {1000 * min(seconds):.1f} ms, {rate:,.0f} faces/s "
            f"on {options.device_used(generator.runner)}"
        )
