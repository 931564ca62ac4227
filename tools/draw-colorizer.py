#!/usr/bin/env python3
"""Draws docs/images/colorizer.png: grey faces, and their way through untrained weights."""

from __future__ import annotations

import sys

import numpy as np

from facegen import Colorizer, Generator
from facegen.media import pictures
from facegen.media.colorization import with_colours
from facegen.networks.colorizer import initial_weights

SEEDS = (3, 26, 40, 5, 17, 11)
SCALE = 2  # pixels a pixel
STRENGTH = 3.0  # colours of untrained weights are pale


def main(path: str) -> None:
    faces = Generator(device="cpu").generate(SEEDS)
    grid = pictures.grid(faces, 1, len(SEEDS)).repeat(SCALE, 0).repeat(SCALE, 1)
    grey = with_colours(grid, np.zeros((2, 1, 1), np.float32))
    coloured = Colorizer(initial_weights(0), device="cpu")(grey, STRENGTH)
    pictures.save(path, np.concatenate([grey, coloured]))


if __name__ == "__main__":
    main(*sys.argv[1:])
