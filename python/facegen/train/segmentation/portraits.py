"""Rendered people with the part that each pixel shows: hair, skin, eyes, glasses and so on.

``python -m facegen.train.segmentation.portraits -n 2000 -o parts/`` writes
parts/pictures/0000.png and parts/masks/0000.png, and so on. A class is a place in
`facegen.train.faces.synthetic.layers.PARTS`; 0 is the background.

What is segmented later is not as sharp as the renderer, nor is a face always in the middle. So two
of three pictures are reduced to a quarter or a half and enlarged again, as a generated face is, and
each is moved and scaled; what comes in at the borders is the border's own colour, of no class.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile
from facegen.media import pictures, voc
from facegen.processors import count as processors
from facegen.train.faces.synthetic.layers import part_masks
from facegen.train.faces.synthetic.many import batches, on_processes
from facegen.train.faces.synthetic.portrait import render
from facegen.train.segmentation.masks import VOID

SIDE = 256
COARSER = (1, 2, 4)
"""What the side is divided by, each as often."""
SCALE, SHIFT = (0.6, 1.25), 0.15
"""Of the picture in its frame, and how far it is moved at most, in sides."""


def draw(seed: int, people: range) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (n, 256, 256, 3) and their masks (n, 256, 256), classes or VOID."""
    drawn = zip(people, render(seed, people, SIDE), part_masks(seed, people, SIDE), strict=True)
    made = [_photographed(seed, *each) for each in drawn]
    pixels, masks = zip(*made, strict=True)
    return np.stack(pixels), np.stack(masks)


def _photographed(
    seed: int, index: int, pixels: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One of them, coarser, moved and scaled."""
    random = np.random.default_rng([seed, index])
    coarser = SIDE // int(random.choice(COARSER))
    picture = Image.fromarray(pixels).resize((coarser,) * 2, Image.Resampling.BOX)
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    scale, shift = random.uniform(*SCALE), random.uniform(-SHIFT, SHIFT, 2) * SIDE
    # The pixel of the source that each pixel is taken from: about the middle, moved.
    at = [(np.arange(SIDE) + 0.5 - SIDE / 2 - by) / scale + SIDE / 2 for by in shift]
    rows, columns = (np.floor(each).astype(int) for each in at)
    inside = np.ix_(*((each >= 0) & (each < SIDE) for each in (rows, columns)))
    taken = np.ix_(rows.clip(0, SIDE - 1), columns.clip(0, SIDE - 1))
    classes = np.full((SIDE, SIDE), VOID, np.uint8)
    classes[inside] = mask[taken][inside]
    return np.asarray(picture)[taken], classes


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, 100_000), default=2000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="One a processor when left out.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(count: int, seed: int, processes: int | None, output: Path) -> None:
    """Write pictures of people and masks of their parts: -n 2000 -o parts/."""
    try:
        for name in ("pictures", "masks"):
            (output / name).mkdir(parents=True, exist_ok=True)
        for _ in on_processes(partial(_write, seed, output), count, processes or processors()):
            pass
    except (FacegenError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {count} pictures and masks", err=True)


def _write(seed: int, folder: Path, people: range) -> None:
    for some in batches(people):
        for index, pixels, mask in zip(some, *draw(seed, some), strict=True):
            pictures.save(folder / "pictures" / f"{index:04d}.png", pixels)
            with AtomicFile(folder / "masks" / f"{index:04d}.png") as file:
                file.write(voc.indexed_png(mask))


if __name__ == "__main__":
    main()
