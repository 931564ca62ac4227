"""Pictures of shapes with the class of every pixel: something to try segmentation on.

``python -m facegen.train.segmentation.shapes --count 300 -o shapes/`` writes
shapes/pictures/0000.png and shapes/masks/0000.png, and so on. Colours are drawn at random, so that
only its outline tells what a shape is.
"""

from __future__ import annotations

from math import cos, pi, sin
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from facegen.files.atomic import AtomicFile
from facegen.media import pictures, voc

SIDE = 256
NAMES = ("disc", "square", "triangle", "star", "cross")  # classes 1 to 5; 0 is the background
_FINER = 3  # pictures are drawn so many times larger, for smooth edges


def outline(kind: int) -> NDArray[np.float64]:
    """Corners (n, 2) of a shape about the origin, within a radius of 1."""

    def polar(radii: list[float]) -> NDArray[np.float64]:
        turns = np.arange(len(radii)) * 2 * pi / len(radii)
        return np.stack([np.cos(turns), np.sin(turns)], axis=1) * np.array(radii)[:, None]

    thin = 0.35
    arm = [(1, thin), (thin, thin), (thin, 1), (-thin, 1), (-thin, thin), (-1, thin)]
    cross = np.array(arm + [(-x, -y) for x, y in arm]) * (1 + thin**2) ** -0.5
    corners = polar([1.0] * 64), polar([1.0] * 4), polar([1.0] * 3), polar([1.0, 0.42] * 5), cross
    return corners[kind]


def draw(seed: int, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One picture (256, 256, 3) and its mask (256, 256), classes 0 to 5."""
    random = np.random.default_rng([seed, index])
    picture = Image.fromarray(_background(random)).resize((SIDE * _FINER,) * 2)
    mask = Image.new("L", (SIDE, SIDE))
    for _ in range(random.integers(1, 5)):
        kind = int(random.integers(len(NAMES)))
        turn, radius = random.uniform(0, 2 * pi), random.uniform(22, 62)
        centre = random.uniform(radius * 0.7, SIDE - radius * 0.7, 2)
        rotation = np.array([[cos(turn), sin(turn)], [-sin(turn), cos(turn)]])
        corners = outline(kind) @ rotation * radius + centre
        colour = tuple(int(v) for v in random.integers(0, 256, 3))
        ImageDraw.Draw(picture).polygon([tuple(p) for p in (corners * _FINER).tolist()], colour)
        ImageDraw.Draw(mask).polygon([tuple(p) for p in corners.tolist()], kind + 1)
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    noisy = pixels + random.normal(0, 6, pixels.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), np.asarray(mask)


def _background(random: np.random.Generator) -> NDArray[np.uint8]:
    """Soft blotches of colour."""
    coarse = Image.fromarray(random.integers(40, 216, (5, 5, 3), dtype=np.uint8))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def write(folder: Path, count: int, seed: int) -> None:
    """Pictures and masks of the indices 0 .. count - 1, as PNG; makes the folders."""
    for name in ("pictures", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels, classes = draw(seed, i)
        pictures.save(folder / "pictures" / f"{i:04d}.png", pixels)
        with AtomicFile(folder / "masks" / f"{i:04d}.png") as file:
            file.write(voc.indexed_png(classes))


@click.command()
@click.option("--count", type=click.IntRange(1, 100_000), default=300, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True)
def main(count: int, seed: int, output: Path) -> None:
    """Write pictures of shapes, and masks of their classes."""
    write(output, count, seed)
    click.echo(f"{output}: {count} pictures and masks", err=True)


if __name__ == "__main__":
    main()
