#!/usr/bin/env python3
"""Draws docs/images/digits.png: drawn digits, what the network is shown, and what it reads."""

from __future__ import annotations

import sys
from math import cos, radians, sin

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facegen import DigitClassifier
from facegen.media.digits import to_mnist

Points = list[tuple[float, float]]


def arc(x: float, y: float, rx: float, ry: float, start: int, stop: int) -> Points:
    """Part of an ellipse, clockwise in degrees from the right."""
    turns = [radians(start + (stop - start) * i / 24) for i in range(25)]
    return [(x + rx * cos(t), y + ry * sin(t)) for t in turns]


# Strokes of each digit in a unit square, y down.
STROKES: list[list[Points]] = [
    [arc(0.5, 0.5, 0.3, 0.45, -100, 260)],
    [[(0.4, 0.2), (0.55, 0.05), (0.5, 0.95)]],
    [[*arc(0.5, 0.3, 0.28, 0.25, -170, 40), (0.22, 0.92), (0.8, 0.9)]],
    [[*arc(0.45, 0.28, 0.27, 0.22, -150, 90), *arc(0.45, 0.71, 0.3, 0.23, -80, 150)]],
    [[(0.35, 0.05), (0.25, 0.55), (0.8, 0.55)], [(0.68, 0.15), (0.62, 0.95)]],
    [[(0.75, 0.07), (0.32, 0.07), (0.28, 0.45), *arc(0.45, 0.68, 0.28, 0.25, -110, 140)]],
    [[(0.65, 0.05), (0.38, 0.35), *arc(0.5, 0.7, 0.25, 0.23, 190, 540)]],
    [[(0.2, 0.1), (0.78, 0.08), (0.45, 0.95)]],
    [[*arc(0.5, 0.27, 0.22, 0.21, 90, 450), *arc(0.5, 0.72, 0.27, 0.24, -90, 270)]],
    [[*arc(0.47, 0.3, 0.23, 0.22, -20, -340), (0.7, 0.2), (0.62, 0.95)]],
]
PAPERS_AND_INKS = [
    ("white", "black"), ("#f3e9d2", "#31427a"), ("#20242c", "#e8e8e8"), ("#2e5339", "#f7d34d")
]
WIDTH, HEIGHT, GAP, COLUMNS = 112, 128, 10, 10


def draw(digit: int, random: np.random.Generator) -> Image.Image:
    """One digit at some place, of some size, slant, thickness and colours."""
    paper, ink = PAPERS_AND_INKS[random.integers(len(PAPERS_AND_INKS))]
    picture = Image.new("RGB", (2 * WIDTH, 2 * HEIGHT), paper)
    size, slant = random.uniform(110, 190), random.uniform(-0.1, 0.25)
    left, top = random.uniform(10, 200 - size, 2) + (0, 20)
    thickness = round(size * random.uniform(0.06, 0.12))
    pen = ImageDraw.Draw(picture)
    for stroke in STROKES[digit]:
        wobbly = np.array(stroke) + random.normal(0, 0.006, (len(stroke), 2))
        x = left + size * (wobbly[:, 0] + slant * (0.5 - wobbly[:, 1]))
        y = top + size * wobbly[:, 1]
        points = list(zip(x.tolist(), y.tolist(), strict=True))
        pen.line(points, ink, thickness, joint="curve")
        for px, py in (points[0], points[-1]):
            r = thickness / 2
            pen.ellipse([px - r, py - r, px + r, py + r], ink)
    return picture


def main(path: str) -> None:
    classifier = DigitClassifier(device="cpu")
    random = np.random.default_rng(5)
    rows, label = 2, 26
    cell = HEIGHT + WIDTH + label + 2 * GAP
    sheet = Image.new("RGB", (GAP + COLUMNS * (WIDTH + GAP), rows * cell), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=18)
    for i in range(rows * COLUMNS):
        picture = draw(i % 10, random)
        shown = to_mnist(np.asarray(picture))
        (digit,), (probabilities,) = classifier(shown)
        x, y = GAP + i % COLUMNS * (WIDTH + GAP), i // COLUMNS * cell + GAP // 2
        sheet.paste(picture.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), (x, y))
        pen.rectangle([x, y, x + WIDTH - 1, y + HEIGHT - 1], outline="#999999")
        small = Image.fromarray(shown).resize((WIDTH, WIDTH), Image.Resampling.NEAREST)
        sheet.paste(small, (x, y + HEIGHT + 4))
        colour = "#1a7f37" if digit == i % 10 else "#c62828"
        text = f"{digit}  {probabilities[digit]:.3f}"
        pen.text((x + WIDTH / 2, y + HEIGHT + WIDTH + 8), text, colour, font, anchor="ma")
    sheet.quantize(128).save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
