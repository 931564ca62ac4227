"""What of a person is seen where: the layers that `portrait` paints, from back to front.

Each layer covers what is behind it. A drawing has a line where what is seen changes, a mask names
the part that each layer is of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from facegen.train.faces.synthetic.beard import beard_cover
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.eyes import eye_shape, from_iris, paint_brows
from facegen.train.faces.synthetic.fields import Array, mix, smoothstep
from facegen.train.faces.synthetic.form import relief
from facegen.train.faces.synthetic.glasses import paint_glasses
from facegen.train.faces.synthetic.hair import hair_shape
from facegen.train.faces.synthetic.mouth import lips
from facegen.train.faces.synthetic.person import Person
from facegen.train.faces.synthetic.scene import clothes, ears, neck

OVERSAMPLING = 2
PARTS = (
    "background", "hair", "skin", "eyes", "brows", "mouth", "glasses", "beard", "clothes",
)  # fmt: skip
"""Of a portrait; a class is a place in this list."""


def seen(person: Person, size: int) -> tuple[list[str], NDArray[np.float32]]:
    """How much of each layer is seen in a picture of `size` pixels.

    Returns
    -------
    The part that each of the k layers is of, and (n, k, size, size), 0 to 1, of sum 1 over k.
    """
    parts, covers = zip(("background", None), *_covers(person, size), strict=True)
    n = len(person.grain)
    shares = np.zeros((n, len(parts), size, size), np.float32)
    shares[:, 0] = 1.0
    for layer, cover in enumerate(covers[1:], start=1):
        shares *= 1.0 - cover
        shares[:, layer : layer + 1] += cover
    return list(parts), shares


def part_masks(seed: int, indices: Sequence[int], side: int) -> NDArray[np.uint8]:
    """The part that is seen at each pixel of what `render` draws: (n, side, side), of `PARTS`.

    A pixel is of the part that has most of it.
    """
    layers, shares = seen(Person.draw(Draws(seed, indices)), side * OVERSAMPLING)
    n = len(indices)
    totals = np.zeros((n, len(PARTS), side, side), np.float32)
    shares = shares.reshape(n, len(layers), side, OVERSAMPLING, side, OVERSAMPLING).mean((3, 5))
    for layer, part in enumerate(layers):
        totals[:, PARTS.index(part)] += shares[:, layer]
    return totals.argmax(axis=1).astype(np.uint8)


def _covers(person: Person, size: int) -> Iterator[tuple[str, Array]]:
    """Each layer's part, and how much it covers of a picture, (n, 1, size, size)."""
    p = person
    at = p.surface(size)
    soft = 1.2 * at.step
    none = np.zeros_like(at.u)
    hair = hair_shape(p.hair, at, p.light, soft)
    mouth = lips(p.mouth, p.form, at, soft)
    inside = smoothstep(soft, -soft, at.distance)
    yield "hair", _edge(hair.behind)
    yield "skin", _cover_of(lambda canvas: neck(canvas, p.scene, p.skin, p.light, at, soft), none)
    yield "clothes", _cover_of(lambda canvas: clothes(canvas, p.scene, p.light, at, soft), none)
    yield "skin", _cover_of(lambda canvas: ears(canvas, p.skin, p.light, at, soft), none)
    yield "skin", inside
    yield "beard", _edge(beard_cover(p.beard, p.form, mouth, at, none)) * inside
    yield "skin", _edge(relief(p.form, at).hollow) * inside
    yield "mouth", mouth.lips * inside
    yield "mouth", mouth.inside * inside
    eye = eye_shape(p.eyes, p.form, at, soft)
    yield "eyes", eye.open * inside
    yield "eyes", smoothstep(1.06, 0.94, from_iris(p.eyes, p.form, eye, at)[0]) * eye.open * inside
    brows = _cover_of(lambda canvas: paint_brows(canvas, p.eyes, at, none), none)
    yield "brows", _edge(brows) * inside
    rims = _cover_of(lambda canvas: paint_glasses(canvas, p.glasses, p.form, at), none)
    yield "glasses", _edge(rims)
    yield "hair", _edge(hair.front)


def _cover_of(paint: Callable[[Array], Array], none: Array) -> Array:
    """What ``mix(canvas, colour, cover)`` leaves of a canvas tells its cover."""
    black = np.repeat(none, 3, axis=1)
    return np.clip(1.0 - (paint(black + 1.0) - paint(black))[:, :1], 0.0, 1.0)


def _edge(cover: Array) -> Array:
    """A soft cover as one with an edge, where it is a half."""
    return mix(0.0, 1.0, smoothstep(0.35, 0.65, cover))
