#!/usr/bin/env python3
"""Draws the docs' pictures of what the package's own networks make, into docs/images.

    tools/gather-photos.py photos && tools/draw-own.py photos [FOLDER]

own-networks.png, segment.png, colorizer.png and tasks.gif; and the page's drawings to begin with,
whose papers it says. The drawn people are of a seed that no
network learned from, and come in order; the photos are of those that were held out, too, chosen by
their licences (in the public domain, or BSD's).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

import facegen
from facegen import Colorizer, Generator, Pix2Pix, Segmenter
from facegen.media import voc
from facegen.networks import default
from facegen.networks.dcgan import latents
from facegen.train.faces.synthetic.portrait import render
from facegen.train.pix2pix.portraits import drawings

Pixels = NDArray[np.uint8]
SEED, SIDE, GAP = 7, 160, 6
STATIC = Path(facegen.__file__).parent / "serve" / "static"
STARTERS = (0, 3, 5, 8)  # of seed 0
PHOTOS = ("126.jpg", "140.jpg", "098.jpg")  # an igloo, a windmill, a cat
STEPS = 16  # frames from a face to the next


def resized(pixels: Pixels, side: int = SIDE) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS))


def table(rows: list[list[Pixels]]) -> Pixels:
    """Pictures of one size, with gaps of white."""
    height, width, _ = rows[0][0].shape
    shape = (len(rows) * (height + GAP) - GAP, len(rows[0]) * (width + GAP) - GAP, 3)
    sheet = np.full(shape, 255, np.uint8)
    for i, row in enumerate(rows):
        for j, pixels in enumerate(row):
            y, x = i * (height + GAP), j * (width + GAP)
            sheet[y : y + height, x : x + width] = pixels
    return sheet


def laid_over(segmenter: Segmenter, pictures: list[Pixels]) -> list[Pixels]:
    return [voc.overlay(p, m, 0.6) for p, m in zip(pictures, segmenter(pictures), strict=True)]


def main() -> int:
    photos, folder = Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else "docs/images")
    generator, segmenter = Generator("faces128", device="cpu"), Segmenter(device="cpu")
    drawn = list(drawings(SEED, range(6), coloured=True))
    made = [np.asarray(each) for each in Pix2Pix(device="cpu")(np.stack(drawn))]
    faces = [resized(each, 256) for each in generator.images(latents(range(6)))]
    parts = laid_over(segmenter, faces)
    rows = [drawn, made, faces, parts]
    Image.fromarray(table([[resized(each) for each in row] for row in rows])).save(
        folder / "own-networks.png", optimize=True
    )
    draw_segment(folder, segmenter, faces[:2], list(render(SEED, range(1), 256)))
    draw_colorizer(folder, photos)
    draw_starters()
    draw_tasks(folder, generator, drawn, made, segmenter)
    return 0


def draw_starters() -> None:
    """Lines in coloured pencils on nothing, as starters.js of the page names them."""
    for person in STARTERS:
        (black,), (coloured,) = (drawings(0, [person], coloured=each) for each in (False, True))
        alpha, paper = 255 - black[..., :1], coloured[0, 0].astype(np.float64)
        share = alpha / 255.0
        ink = (coloured - (1.0 - share) * paper) / np.where(share > 0, share, 1.0)
        lines = np.where(share > 0, np.clip(np.rint(ink), 0, 255), 0).astype(np.uint8)
        picture = Image.fromarray(np.concatenate([lines, alpha], axis=2))
        picture.save(STATIC / f"person-{person}.png", optimize=True)
        print(f"person-{person}.png: paper #{bytes(coloured[0, 0]).hex()}")


def draw_colorizer(folder: Path, photos: Path) -> None:
    """Photos and drawn people in grey, with the colours of the network, and with their own."""
    pictures = [Image.open(photos / name) for name in PHOTOS]
    pictures += [Image.fromarray(pixels) for pixels in render(SEED, range(3), 256)]
    squares = [ImageOps.fit(each.convert("RGB"), (256, 256)) for each in pictures]
    grey = [each.convert("L").convert("RGB") for each in squares]
    made = Colorizer(default.path("colours"), device="cpu")(grey)
    rows = [[resized(np.asarray(each)) for each in row] for row in (grey, made, squares)]
    Image.fromarray(table(rows)).save(folder / "colorizer.png", optimize=True)


def draw_segment(
    folder: Path, segmenter: Segmenter, faces: list[Pixels], more: list[Pixels]
) -> None:
    """Faces, their parts, both, and a legend."""
    pictures = faces + more
    maps = segmenter(pictures)
    areas = voc.areas(np.concatenate(maps), segmenter.names)
    rows = [
        [resized(p) for p in (pixels, voc.palette()[classes], voc.overlay(pixels, classes))]
        for pixels, classes in zip(pictures, maps, strict=True)
    ]
    sheet, legend = table(rows), voc.legend(areas)
    both = np.full((sheet.shape[0], sheet.shape[1] + GAP + legend.shape[1], 3), 255, np.uint8)
    both[:, : sheet.shape[1]] = sheet
    both[: legend.shape[0], sheet.shape[1] + GAP :] = legend
    Image.fromarray(both).save(folder / "segment.png", optimize=True)


def draw_tasks(
    folder: Path,
    generator: Generator,
    drawn: list[Pixels],
    made: list[Pixels],
    segmenter: Segmenter,
) -> None:
    """A walk from face to face, its parts, and drawings that become portraits, as an animation."""
    stops = latents([1, 5, 9, 22])
    frames = []
    for i in range(len(stops)):
        here, there = stops[i], stops[(i + 1) % len(stops)]
        for k in range(STEPS):
            angle = np.pi / 2 * k / STEPS
            z = (np.cos(angle) * here + np.sin(angle) * there).astype(np.float32)
            face = resized(generator.images(z[None])[0])
            (over,) = laid_over(segmenter, [face])
            # The drawing, and what is made of it, which comes from left to right.
            edge = round(SIDE * min(1.0, 1.5 * k / STEPS))
            line, portrait = resized(drawn[i]), resized(made[i])
            drawing = np.concatenate([portrait[:, :edge], line[:, edge:]], axis=1)
            frames.append(Image.fromarray(table([[face, over, drawing]])).quantize(128))
    frames[0].save(
        folder / "tasks.gif", save_all=True, append_images=frames[1:], duration=90, loop=0,
        optimize=True,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
