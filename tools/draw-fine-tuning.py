#!/usr/bin/env python3
"""Draws docs/images/fine-tuning.png: IoU over the epochs, and classes of pictures held out.

    python -m facegen.train.segmentation.shapes --count 200 -o shapes/
    facegen train segmentation shapes/pictures shapes/masks --from squeezenet --epochs 15 \
        -o shapes.safetensors --log shapes.jsonl
    tools/draw-fine-tuning.py shapes.jsonl shapes.safetensors shapes/ docs/images/fine-tuning.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from facegen import Segmenter
from facegen.media import voc
from facegen.train.segmentation.masks import read_pairs
from facegen.train.split import split

SHOWN = 5  # pictures held out


def main(log: str, network: str, data: str, picture: str) -> None:
    entries = [json.loads(line) for line in Path(log).read_text().splitlines()]
    pairs = read_pairs(Path(data, "pictures"), Path(data, "masks"))
    _, held_out = split(len(pairs), len(pairs) // 10)
    segmenter = Segmenter(network, device="cpu")
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[2, 3])

    axes = left.subplots()
    epochs = [entry["epoch"] for entry in entries]
    axes.plot(epochs, [entry["iou"] for entry in entries], "o-", label="mean IoU, held out")
    axes.plot(epochs[1:], [entry["loss"] for entry in entries[1:]], "--", label="loss, trained on")
    axes.set_xlabel("epoch")
    axes.set_ylim(0, 1.2)
    axes.grid(alpha=0.3)
    axes.legend()

    cells = right.subplots(3, SHOWN)
    for column, index in zip(cells.T, held_out[:SHOWN], strict=True):
        pixels = pairs.pixels[index]
        maps = (pixels, voc.palette()[pairs.classes[index]], voc.palette()[segmenter(pixels)])
        for cell, image in zip(column, maps, strict=True):
            cell.imshow(np.asarray(image))
            cell.set_xticks([])
            cell.set_yticks([])
    for cell, label in zip(cells[:, 0], ("picture", "mask", "found"), strict=True):
        cell.set_ylabel(label)
    figure.savefig(picture, dpi=90)


if __name__ == "__main__":
    main(*sys.argv[1:])
