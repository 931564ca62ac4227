#!/usr/bin/env python3
"""Draws docs/images/augmentation.png: every kind of augmentation on one rendered face."""

from __future__ import annotations

import sys

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from facegen.numbers.pixels import to_uint8
from facegen.train import augment
from facegen.train.faces.data import to_values
from facegen.train.faces.synthetic import render

FACE = 2, 5  # the renderer's seed and the face's number
ZOOM, GAP, LABEL, COLUMNS = 2, 8, 22, 4
SIDE = 64 * ZOOM


def panels(face: Tensor) -> dict[str, list[Tensor]]:
    """Label -> two pictures (3, 64, 64), one a way of changing it."""
    two = face.expand(2, 3, 64, 64)
    ways = torch.tensor([-1.0, 1.0])
    same = torch.eye(3).expand(2, 3, 3)
    random = torch.Generator().manual_seed(6)
    colours = to_values(torch.from_numpy(render(FACE[0], range(64))))
    amounts = torch.tensor([[0.0, 0.0, -0.8], [0.0, 0.8, 0.8]])
    crops = augment.multi_crop(face, 48)[0]
    kinds = {
        "none, horizontal flip": augment.horizontal_flip(two, torch.tensor([False, True])),
        "translation": augment.warp(two, augment.translation(0.15 * ways, 0.1 * ways)),
        "rotation": augment.warp(two, augment.rotation(15 * ways)),
        "scale": augment.warp(two, augment.scaling(torch.exp(0.35 * ways))),
        "stretch": augment.warp(two, augment.stretch(torch.exp(0.25 * ways), torch.ones(2))),
        "shear": augment.warp(two, augment.shear(18 * ways)),
        "lens distortion": augment.warp(two, same, lens=0.25 * ways),
        "random crop, resized": augment.random_resized_crop(two, 64, random, (0.6, 0.9)),
        "multi-crop (2 of 10)": torch.nn.functional.pad(crops[[0, 9]], (8, 8, 8, 8), value=1.0),
        "brightness": augment.brightness(two, 0.35 * ways),
        "contrast": augment.contrast(two, torch.exp(0.6 * ways)),
        "saturation": augment.saturation(two, 1 + 0.9 * ways),
        "hue": augment.hue(two, 40 * ways),
        "PCA colour jitter": augment.pca_jitter(two, amounts, augment.colour_axes(colours)),
        "cutout": augment.cutout(two, 0.5 + 0.25 * ways, 0.5 + 0.1 * ways, 0.35),
        "all of the small set's": augment.SMALL_SET(two, random),
    }
    return {label: list(pictures.clamp(-1, 1)) for label, pictures in kinds.items()}


def main(path: str) -> None:
    face = to_values(torch.from_numpy(render(FACE[0], [FACE[1]])))
    cells = panels(face)
    width, height = 2 * SIDE + 2 + GAP, SIDE + LABEL + GAP
    rows = -(-len(cells) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=14)
    for i, (label, pictures) in enumerate(cells.items()):
        x, y = GAP + i % COLUMNS * width, GAP + i // COLUMNS * height
        draw.text((x, y), label, fill="black", font=font)
        for j, picture in enumerate(pictures):
            pixels = np.ascontiguousarray(to_uint8(picture.permute(1, 2, 0).numpy()))
            tile = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
            sheet.paste(tile, (x + j * (SIDE + 2), y + LABEL))
    sheet.save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "docs/images/augmentation.png")
