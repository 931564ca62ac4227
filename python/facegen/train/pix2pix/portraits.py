"""Pairs to try pix2pix on: line drawings of rendered people, and their portraits.

``python -m facegen.train.pix2pix.portraits -n 500 -o pairs/`` writes pairs/0000.png and so on,
each 256 pixels high: the drawing on the left, the portrait on the right. The lines are where one
layer of the renderer ends in the picture: head, hair, eyes, brows, mouth, beard, glasses, clothes;
of pairs they are as people draw them, thin or thick, a little off, with gaps, and some eyes are
empty. Colours, light and what lies within the lines are for the network to invent.
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
TINT = 0.3  # of the background's colour in tinted paper
LIGHTEST = 0.7  # of inks, as shares of red, green and blue in what is seen
EMPTY_EYES = 0.4  # of drawings by hand
WIDEST = 3  # pixels of the square that widens their lines; 1 leaves them
UNSTEADY = 3.0  # pixels of 256, at most, by which a line is off in each direction
MOST_GAPS = 6


def pairs(seed: int, indices: Sequence[int], side: int = SIDE) -> NDArray[np.uint8]:
    """Drawings by hand beside their portraits: uint8 (len(indices), side, 2 side, 3).

    Those of even indices are in black.
    """
    portraits = render(seed, indices, side)
    hands = [np.random.default_rng([seed, index]) for index in indices]
    empty = np.array([hand.random() < EMPTY_EYES for hand in hands])
    paper, shares = _lines(seed, indices, side, empty)
    by_hand = np.stack([_by_hand(one, hand) for one, hand in zip(paper, hands, strict=True)])
    black = np.array([index % 2 == 0 for index in indices])[:, np.newaxis, np.newaxis, np.newaxis]
    drawn = np.where(black, _in_black(by_hand), _in_colours(by_hand, shares, portraits))
    return np.concatenate([drawn, portraits], axis=2)


def drawings(
    seed: int, indices: Sequence[int], side: int = SIDE, coloured: bool = False
) -> NDArray[np.uint8]:
    """The lines of the people that `render` draws: uint8 (len(indices), side, side, 3)."""
    paper, shares = _lines(seed, indices, side)
    if not coloured:
        return _in_black(paper)
    return _in_colours(paper, shares, render(seed, indices, side))


def _lines(
    seed: int, indices: Sequence[int], side: int, empty: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """How much of each pixel is paper, (n, side, side, 1); and what `seen` gives, oversampled.

    Where it is `empty` an eye has no iris.
    """
    parts, shares = seen(Person.draw(Draws(seed, indices)), OVERSAMPLING * side)
    if empty is not None:
        ball, iris = (layer for layer, part in enumerate(parts) if part == "eyes")
        shares[empty, ball] += shares[empty, iris]
        shares[empty, iris] = 0.0
    dx, dy = slope(shares, 1.0)
    change = np.sqrt((dx * dx + dy * dy).sum(axis=1))
    return 1.0 - _smaller(smoothstep(0.06, 0.22, change))[..., np.newaxis], shares


def _by_hand(paper: NDArray[np.floating], hand: np.random.Generator) -> NDArray[np.floating]:
    """Lines as people draw them: of some width, a little off, with gaps; (side, side, 1)."""
    side, thick = len(paper), int(hand.integers(1, WIDEST + 1))
    spread = np.pad(paper[..., 0], ((thick // 2, (thick - 1) // 2),) * 2, mode="edge")
    lines = np.lib.stride_tricks.sliding_window_view(spread, (thick, thick)).min((-2, -1))
    rows, columns = np.mgrid[:side, :side]
    for _ in range(hand.integers(MOST_GAPS + 1)):
        y, x, radius = *hand.integers(0, side, 2), hand.uniform(0.01, 0.035) * side
        lines = np.where((rows - y) ** 2 + (columns - x) ** 2 < radius**2, 1.0, lines)
    # Waves of some lengths: each line is off by what its place says.
    off = hand.uniform(0, UNSTEADY * side / SIDE / 2)
    waves = [
        off * np.sin(2 * np.pi * (a * rows + b * columns) / side + phase)
        for a, b, phase in hand.uniform((-4, -4, 0), (4, 4, 6.3), (4, 3))
    ]
    y = np.clip(np.rint(rows + waves[0] + waves[1]), 0, side - 1).astype(np.int64)
    x = np.clip(np.rint(columns + waves[2] + waves[3]), 0, side - 1).astype(np.int64)
    moved: NDArray[np.floating] = lines[y, x, np.newaxis]
    return moved


def _in_black(paper: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.repeat(np.rint(255.0 * paper), 3, axis=3).astype(np.uint8)


def _in_colours(
    paper: NDArray[np.floating], shares: NDArray[np.floating], portraits: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    inks, behind = _colours(_smaller(shares), portraits / 255.0)
    tinted = 1.0 - TINT * (1.0 - behind[:, np.newaxis, np.newaxis])
    return np.rint(255.0 * (paper * tinted + (1.0 - paper) * inks)).astype(np.uint8)


def _smaller(fields: NDArray[np.floating]) -> NDArray[np.floating]:
    """(..., side, side) of fields that are oversampled."""
    *others, height, width = fields.shape
    blocks = (height // OVERSAMPLING, OVERSAMPLING, width // OVERSAMPLING, OVERSAMPLING)
    mean: NDArray[np.floating] = fields.reshape(*others, *blocks).mean((-3, -1))
    return mean


def _colours(
    shares: NDArray[np.floating], portraits: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Of lines, (n, side, side, 3), and of what is behind the people, (n, 3), 0 to 1.

    A line has the mean colour of the frontmost layer that is seen at the pixel or beside it, dark
    enough for pale paper. One that a hand moved off its layer has that of what lies there.
    """
    whole = (shares > 0.95).astype(np.float64)
    sums = np.einsum("nkyx,nyxc->nkc", whole, portraits)
    means = sums / np.maximum(whole.sum(axis=(2, 3))[..., np.newaxis], 1.0)
    behind = means[:, 0].copy()
    lightness = means @ (0.2126, 0.7152, 0.0722)
    means *= np.minimum(1.0, LIGHTEST / np.maximum(lightness, 1e-6))[..., np.newaxis]
    around = np.pad(shares, ((0, 0), (0, 0), (1, 1), (1, 1)))
    near = np.lib.stride_tricks.sliding_window_view(around, (3, 3), axis=(2, 3)).max((-2, -1))
    layers = shares.shape[1]
    front = layers - 1 - (near[:, ::-1] > 0.1).argmax(axis=1)
    inks: NDArray[np.floating] = means[np.arange(len(means))[:, np.newaxis, np.newaxis], front]
    return inks, behind


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
