#!/usr/bin/env python3
"""Draws docs/images/classify.png of scikit-image's own pictures.

tools/draw-classes.py WEIGHTS FOLDER, WEIGHTS being a file of trained weights of SqueezeNet v1.0.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from facegen import Classifier
from facegen.media import pictures

SIDE, GAP, BARS = 227, 16, 230


def classified(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """The square that the network is shown, and its five most probable classes beside it."""
    height, width, _ = pixels.shape
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.new("RGB", (SIDE + BARS, SIDE), "white")
    square = Image.fromarray(pixels).crop((left, top, left + side, top + side))
    image.paste(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR), (0, 0))
    names = classifier.names
    assert names is not None
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    for i, guess in enumerate(classifier(pixels, top=5)):
        y, x = 10 + i * 42, SIDE + 12
        text = f"{guess.probability:.1%}  {names[guess.class_id]}"
        draw.text((x, y), text, "black", font)
        width = max(1, round(guess.probability * (BARS - 24)))
        draw.rectangle((x, y + 22, x + width, y + 30), "#31427a")
    return np.asarray(image)


def beside(*parts: np.ndarray) -> np.ndarray:
    """Pictures side by side on white, with gaps."""
    height = max(len(part) for part in parts)
    width = sum(part.shape[1] for part in parts) + GAP * (len(parts) - 1)
    whole = np.full((height, width, 3), 255, np.uint8)
    x = 0
    for part in parts:
        whole[: len(part), x : x + part.shape[1]] = part
        x += part.shape[1] + GAP
    return whole


def main(weights: str, folder: str) -> None:
    classifier = Classifier(weights, device="cpu")
    guesses = (classified(classifier, p) for p in (skimage.data.chelsea(), skimage.data.coffee()))
    pictures.save(Path(folder, "classify.png"), beside(*guesses))


if __name__ == "__main__":
    main(*sys.argv[1:])
