#!/usr/bin/env python3
"""Draws docs/images/augmentation.png: every kind of augmentation on one rendered face."""

from __future__ import annotations

import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facegen.numbers.pixels import from_uint8, to_uint8
from facegen.train import augment
from facegen.train.faces.synthetic import render

FACE = 2, 5  # the renderer's seed and the face's number
ZOOM, GAP, LABEL, COLUMNS = 2, 8, 22, 4
SIDE = 64 * ZOOM


def panels(face: np.ndarray) -> dict[str, np.ndarray]:
    """Label -> two pictures (2, 64, 64, 3), one a way of changing it."""
    two = np.repeat(face, 2, axis=0)
    ways, one = np.array([-1.0, 1.0]), np.ones(2)
    same = np.tile(np.eye(3), (2, 1, 1))
    random = np.random.default_rng(6)
    colours = from_uint8(render(FACE[0], range(64)))
    amounts = np.array([[0.0, 0.0, -0.8], [0.0, 0.8, 0.8]])
    crops = augment.multi_crop(face, 48)[0, [0, 9]]
    framed = np.pad(crops, ((0, 0), (8, 8), (8, 8), (0, 0)), constant_values=1.0)
    kinds = {
        "none, horizontal flip": augment.horizontal_flip(two, [False, True]),
        "translation": augment.warp(two, augment.translation(0.15 * ways, 0.1 * ways)),
        "rotation": augment.warp(two, augment.rotation(15 * ways)),
        "scale": augment.warp(two, augment.scaling(np.exp(0.35 * ways))),
        "stretch": augment.warp(two, augment.stretch(np.exp(0.25 * ways), one)),
        "shear": augment.warp(two, augment.shear(18 * ways)),
        "lens distortion": augment.warp(two, same, lens=0.25 * ways),
        "random crop, resized": augment.random_resized_crop(two, 64, random, (0.6, 0.9)),
        "multi-crop (2 of 10)": framed,
        "brightness": augment.brightness(two, 0.35 * ways),
        "contrast": augment.contrast(two, np.exp(0.6 * ways)),
        "saturation": augment.saturation(two, 1 + 0.9 * ways),
        "hue": augment.hue(two, 40 * ways),
        "PCA colour jitter": augment.pca_jitter(two, amounts, augment.colour_axes(colours)),
        "cutout": augment.cutout(two, 0.5 + 0.25 * ways, 0.5 + 0.1 * ways, 0.35),
        "all of the small set's": augment.SMALL_SET(two, random),
    }
    return kinds


def main(path: str) -> None:
    face = from_uint8(render(FACE[0], [FACE[1]]))
    cells = panels(face)
    width, height = 2 * SIDE + 2 + GAP, SIDE + LABEL + GAP
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for i, (label, pictures) in enumerate(cells.items()):
        x, y = GAP + i % COLUMNS * width, GAP + i // COLUMNS * height
        draw.text((x, y), label, fill="black", font=font)
        for j, picture in enumerate(pictures):
            tile = Image.fromarray(to_uint8(picture)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (x + j * (SIDE + 2), y + LABEL))
    sheet.save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/images/augmentation.png")
