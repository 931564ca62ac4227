#!/usr/bin/env python3
"""Draws docs/images/faces.png: faces of the package's own network, and a walk between two."""

from __future__ import annotations

import sys

import numpy as np

from facegen import Generator
from facegen.media import pictures
from facegen.networks.dcgan import latents
from facegen.networks.paths import walk

COLUMNS, ROWS = 8, 4
GAP = 8  # pixels between the faces and the walk


def main(path: str) -> None:
    generator = Generator("faces128", device="cpu")
    faces = generator.images(latents(range(COLUMNS * ROWS)))
    frames = generator.images(walk(latents([3, 26]), COLUMNS, closed=False))
    grid, strip = pictures.grid(faces, ROWS, COLUMNS), pictures.grid(frames, 1, COLUMNS)
    gap = np.full((GAP, grid.shape[1], 3), 255, np.uint8)
    pictures.save(path, np.concatenate([grid, gap, strip]))


if __name__ == "__main__":
    main(*sys.argv[1:])
