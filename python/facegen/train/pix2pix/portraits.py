"""Pairs to try pix2pix on: line drawings of rendered people, and their portraits.

``python -m facegen.train.pix2pix.portraits -n 500 -o pairs/`` writes pairs/0000.png and so on,
each 256 pixels high: the drawing on the left, the portrait on the right. The lines are where one
layer of the renderer ends in the picture: head, hair, eyes, brows, mouth, beard, glasses, clothes.
Colours, light and what lies within the lines are for the network to invent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError
from facegen.media import pictures
from facegen.processors import count as processors
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import slope, smoothstep
from facegen.train.faces.synthetic.layers import OVERSAMPLING, seen
from facegen.train.faces.synthetic.many import batches, on_processes
from facegen.train.faces.synthetic.person import Person
from facegen.train.faces.synthetic.portrait import render

SIDE = 256


def pairs(seed: int, indices: Sequence[int], side: int = SIDE) -> NDArray[np.uint8]:
    """Drawings beside their portraits: uint8 (len(indices), side, 2 side, 3)."""
    drawn = drawings(seed, indices, side)
    return np.concatenate([drawn, render(seed, indices, side)], axis=2)


def drawings(seed: int, indices: Sequence[int], side: int = SIDE) -> NDArray[np.uint8]:
    """The lines of the people that `render` draws: uint8 (len(indices), side, side, 3)."""
    _, shares = seen(Person.draw(Draws(seed, indices)), OVERSAMPLING * side)
    dx, dy = slope(shares, 1.0)
    change = np.sqrt((dx * dx + dy * dy).sum(axis=1, keepdims=True))
    line = smoothstep(0.06, 0.22, change)
    paper = 1.0 - line.reshape(len(indices), side, OVERSAMPLING, side, OVERSAMPLING).mean((2, 4))
    grey = np.rint(paper * 255.0).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=3)


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--processes", type=click.IntRange(1), help="One a processor when left out.")
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(count: int, seed: int, processes: int | None, output: Path) -> None:
    """Write line drawings and portraits side by side: -n 500 -o pairs/."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for _ in on_processes(partial(_write, seed, output), count, processes or processors()):
            pass
    except (FacegenError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {count} pairs", err=True)


def _write(seed: int, folder: Path, people: range) -> None:
    for some in batches(people):
        for index, pair in zip(some, pairs(seed, some), strict=True):
            pictures.save(folder / f"{index:04d}.png", pair)


if __name__ == "__main__":
    main()
