#!/usr/bin/env python3
"""Draws docs/images/classify.png and docs/images/segment.png of scikit-image's own pictures.

tools/draw-classes.py WEIGHTS FOLDER, WEIGHTS being a file of trained weights of SqueezeNet v1.0.
The class map is that of seeded weights and means nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFont

from facegen import Classifier, Segmenter
from facegen.media import pictures, voc
from facegen.networks.segmentation import SEGMENTATION

SIDE, GAP, BARS = 227, 16, 230
NAMES = {
    281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 287: "lynx", 293: "cheetah",
    809: "soup bowl", 925: "consomme", 960: "chocolate sauce", 967: "espresso", 968: "cup",
}  # fmt: skip


def classified(classifier: Classifier, pixels: np.ndarray) -> np.ndarray:
    """The square that the network is shown, and its five most probable classes beside it."""
    height, width, _ = pixels.shape
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    image = Image.new("RGB", (SIDE + BARS, SIDE), "white")
    square = Image.fromarray(pixels).crop((left, top, left + side, top + side))
    image.paste(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR), (0, 0))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=15)
    for i, guess in enumerate(classifier(pixels, top=5)):
        y, x = 10 + i * 42, SIDE + 12
        text = f"{guess.probability:.1%}  {NAMES[guess.class_id]}"
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


def segmented(pixels: np.ndarray) -> np.ndarray:
    """A picture, its class map, the overlay and the legend of the largest classes."""
    segmenter = Segmenter(SEGMENTATION.initial_weights(15), device="cpu")
    classes = segmenter(pixels)
    legend = voc.legend(voc.areas(classes)[:8])
    return beside(pixels, voc.palette()[classes], voc.overlay(pixels, classes), legend)


def main(weights: str, folder: str) -> None:
    classifier = Classifier(weights, device="cpu")
    guesses = (classified(classifier, p) for p in (skimage.data.chelsea(), skimage.data.coffee()))
    pictures.save(Path(folder, "classify.png"), beside(*guesses))
    small = Image.fromarray(skimage.data.coffee()).resize((300, 200))
    pictures.save(Path(folder, "segment.png"), segmented(np.asarray(small)))


if __name__ == "__main__":
    main(*sys.argv[1:])
