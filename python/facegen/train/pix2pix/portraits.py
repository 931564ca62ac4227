"""Pairs to try pix2pix on: line drawings of rendered people, and their portraits.

``python -m facegen.train.pix2pix.portraits -n 500 -o pairs/`` writes pairs/0000.png and so on,
each 256 pixels high: the drawing on the left, the portrait on the right. The lines are where one
layer of the renderer ends in the picture: head, hair, eyes, brows, mouth, beard, glasses, clothes.
Colours, light and what lies within the lines are for the network to invent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from facegen.errors import FacegenError
from facegen.media import pictures
from facegen.train.faces.synthetic.beard import beard_cover
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.eyes import eye_shape, paint_brows
from facegen.train.faces.synthetic.fields import Array, mix, slope, smoothstep
from facegen.train.faces.synthetic.form import relief
from facegen.train.faces.synthetic.glasses import paint_glasses
from facegen.train.faces.synthetic.hair import hair_shape
from facegen.train.faces.synthetic.mouth import lips
from facegen.train.faces.synthetic.person import Person
from facegen.train.faces.synthetic.portrait import render
from facegen.train.faces.synthetic.scene import clothes, ears, neck

SIDE = 256
_AT_ONCE = 4  # people: fields of many more leave a core's cache


def pairs(seed: int, indices: Sequence[int], side: int = SIDE) -> NDArray[np.uint8]:
    """Drawings beside their portraits: uint8 (len(indices), side, 2 side, 3)."""
    drawn = drawings(seed, indices, side)
    return np.concatenate([drawn, render(seed, indices, side)], axis=2)


def drawings(seed: int, indices: Sequence[int], side: int = SIDE) -> NDArray[np.uint8]:
    """The lines of the people that `render` draws: uint8 (len(indices), side, side, 3)."""
    person = Person.draw(Draws(seed, indices))
    covers = list(_covers(person, 2 * side))
    shape = (len(indices), len(covers) + 1, 2 * side, 2 * side)
    # A channel a layer: 1 where it is what is seen.
    seen = np.zeros(shape, np.float32)
    seen[:, 0] = 1.0
    for layer, cover in enumerate(covers, start=1):
        seen *= 1.0 - cover
        seen[:, layer : layer + 1] += cover
    dx, dy = slope(seen, 1.0)
    change = np.sqrt((dx * dx + dy * dy).sum(axis=1, keepdims=True))
    line = smoothstep(0.06, 0.22, change)
    paper = 1.0 - line.reshape(len(indices), side, 2, side, 2).mean((2, 4))
    grey = np.rint(paper * 255.0).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=3)


def _covers(person: Person, size: int) -> Iterator[Array]:
    """How much each layer covers of a picture, from back to front; each (n, 1, size, size)."""
    p = person
    at = p.surface(size)
    soft = 1.2 * at.step
    none = np.zeros_like(at.u)
    hair = hair_shape(p.hair, at, p.light, soft)
    mouth = lips(p.mouth, p.form, at, soft)
    inside = smoothstep(soft, -soft, at.distance)
    yield _edge(hair.behind)
    yield _cover_of(lambda canvas: neck(canvas, p.scene, p.skin, p.light, at, soft), none)
    yield _cover_of(lambda canvas: clothes(canvas, p.scene, p.light, at, soft), none)
    yield _cover_of(lambda canvas: ears(canvas, p.skin, p.light, at, soft), none)
    yield inside
    yield _edge(beard_cover(p.beard, p.form, mouth, at, none)) * inside
    yield _edge(relief(p.form, at).hollow) * inside
    yield mouth.lips * inside
    yield mouth.inside * inside
    yield eye_shape(p.eyes, p.form, at, soft).open * inside
    yield _edge(_cover_of(lambda canvas: paint_brows(canvas, p.eyes, at, none), none)) * inside
    yield _edge(_cover_of(lambda canvas: paint_glasses(canvas, p.glasses, p.form, at), none))
    yield _edge(hair.front)


def _cover_of(paint: Callable[[Array], Array], none: Array) -> Array:
    """What ``mix(canvas, colour, cover)`` leaves of a canvas tells its cover."""
    black = np.repeat(none, 3, axis=1)
    return np.clip(1.0 - (paint(black + 1.0) - paint(black))[:, :1], 0.0, 1.0)


def _edge(cover: Array) -> Array:
    """A soft cover as one with an edge, where it is a half."""
    return mix(0.0, 1.0, smoothstep(0.35, 0.65, cover))


@click.command()
@click.option("-n", "--count", type=click.IntRange(1, 10_000), default=500, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(count: int, seed: int, output: Path) -> None:
    """Write line drawings and portraits side by side: -n 500 -o pairs/."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        for start in range(0, count, _AT_ONCE):
            indices = range(start, min(start + _AT_ONCE, count))
            for index, pair in zip(indices, pairs(seed, indices), strict=True):
                pictures.save(output / f"{index:04d}.png", pair)
    except (FacegenError, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{output}: {count} pairs", err=True)


if __name__ == "__main__":
    main()
