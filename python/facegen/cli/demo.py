"""facegen demo [OUT]: a grid of faces, and how fast they were made."""

from __future__ import annotations

import os
from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.generate import Grid
from facegen.cli.seeds import SeedList, Seeds
from facegen.cli.terminal import counted

ROUNDS = 5  # the fastest of so many runs is reported: the first ones warm up


@click.command(
    "demo",
    epilog=options.examples("facegen demo", "facegen demo faces.png --seeds 100-243 --grid 16x9"),
)
@click.argument("out", metavar="[OUT]", default="faces.png", type=click.Path())
@click.option(
    "-s", "--seeds", type=Seeds(), help="0-63 or 3,17: whose faces; as many from 0 as the grid has "
    "places if not given.",
)
@click.option("--seed", "first", type=click.IntRange(0, 10**18), hidden=True)  # with those after it
@click.option("--grid", type=Grid(), help="COLUMNSxROWS; 8x8, or square with --seeds.")
@options.network_of("the package's own faces128")
@options.overwrite
@options.engine
@options.common
def command(
    out: str,
    seeds: SeedList | None,
    first: int | None,
    grid: tuple[int, int] | None,
    network: str | None,
    overwrite: bool,
    engine: dict[str, Any],
) -> None:
    """Draw a grid of faces to a picture (faces.png if not named) and say how fast that was.

    They are of 128x128 pixels; facegen generate draws the course's 64x64 unless it is told -n
    faces128.

    A file that exists is not replaced without --overwrite, unless it is this very picture.
    """
    from time import perf_counter

    from facegen import FacegenError, Generator
    from facegen.cli.models import prepared
    from facegen.media import pictures
    from facegen.media.face_files import FaceFiles
    from facegen.networks.files import resolve

    if seeds is None:
        grid = grid or (8, 8)
        seeds = SeedList([range(first or 0, (first or 0) + grid[0] * grid[1])])
    elif first is not None:
        raise click.UsageError("--seed is the first of --seeds; name one of them")
    options.refuse_folder(out)
    if os.path.splitext(out)[1].lower() not in (".png", ".bmp"):
        raise FacegenError(f"{out}: expected a name in .png or .bmp")
    count = len(seeds)
    generator = prepared(Generator, network or str(resolve(None, "dcgan128")), engine)
    files = FaceFiles.plan(out, seeds, count, grid, generator.image_shape)
    assert files.grid is not None  # a picture of all
    columns, rows = files.grid
    inputs = generator.latents(seeds)
    seconds = []
    for _ in range(ROUNDS):
        start = perf_counter()
        faces = generator(inputs)
        seconds.append(perf_counter() - start)
    picture = pictures.grid(faces, rows, columns)
    if overwrite or not _holds(out, pictures.encode(out, picture)):
        if not overwrite:
            options.refuse_existing(out)
        pictures.save(out, picture)
    rate = count / min(seconds)
    terminal.say(
        f"{out}: {counted(count, 'face')} in {1000 * min(seconds):.1f} ms, {rate:,.0f} faces/s "
        f"on {options.device_used(generator.runner)}"
    )


def _holds(path: str, data: bytes) -> bool:
    """Whether there is a file of just this content."""
    if not os.path.isfile(path) or os.path.getsize(path) != len(data):
        return False
    with open(path, "rb") as file:
        return file.read() == data
