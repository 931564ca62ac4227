"""Pictures of how training went, drawn with Pillow: a confusion matrix, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_INK, _GREY = (30, 30, 30), (215, 215, 215)
_LINES = ((31, 98, 179), (214, 96, 30), (44, 140, 70), (130, 80, 160))
_MOST_LETTERS = 16
_LARGEST = 40  # classes whose numbers are written


def confusion_matrix(counts: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.uint8]:
    """A picture of how many of each class (row) were taken for each class (column)."""
    n = len(names)
    cell = int(np.clip(900 // n, 8, 64))
    font = _font(max(9, min(15, cell // 3)))
    shown = [n if len(n) <= _MOST_LETTERS else n[: _MOST_LETTERS - 1] + "…" for n in names]
    margin = 24 + max(int(font.getlength(name)) for name in shown)
    side = margin + n * cell + 12
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row in range(n):
        for column in range(n):
            share = float(shares[row, column])
            colour = _LINES[0] if row == column else _LINES[1]
            filled = tuple(round(255 + (c - 255) * share) for c in colour)
            left, top = margin + column * cell, margin + row * cell
            draw.rectangle((left, top, left + cell - 1, top + cell - 1), filled, _GREY)
            if n <= _LARGEST and counts[row, column]:
                ink = "white" if share > 0.6 else _INK
                centre = (left + cell / 2, top + cell / 2)
                draw.text(centre, str(counts[row, column]), ink, font, anchor="mm")
    for i, name in enumerate(shown):
        middle = margin + (i + 0.5) * cell
        draw.text((margin - 8, middle), name, _INK, font, anchor="rm")
        _upright(image, name, (round(middle), margin - 8), font)
    draw.text((8, 8), "shown (rows), found (columns)", _INK, _font(11))
    return np.asarray(image)


def curves(
    entries: Sequence[Mapping[str, float]], panels: Sequence[Sequence[str]], x: str = "epoch"
) -> NDArray[np.uint8]:
    """A picture of what a log has, a panel for each list of up to four names, against `x`."""
    width, height, left, bottom, top = 420, 280, 52, 34, 26
    image = Image.new("RGB", (width * len(panels), height), "white")
    draw, font = ImageDraw.Draw(image), _font(11)
    for i, names in enumerate(panels):
        lines = {
            name: [(float(e[x]), float(e[name])) for e in entries if x in e and name in e]
            for name in names
        }
        points = [point for line in lines.values() for point in line]
        if not points:
            continue
        xs, ys = zip(*points, strict=True)
        x1, y0, y1 = max(*xs, 1e-9), min(0.0, *ys), max(*ys, 1e-9)
        origin, span = i * width + left, width - left - 20
        drop = height - top - bottom

        place = _Axes(origin, top, span / x1, drop / (y1 - y0), y1)
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            value = y0 + share * (y1 - y0)
            draw.line([place(0, value), place(x1, value)], _GREY)
            draw.text((origin - 6, place(0, value)[1]), f"{value:.3g}", _INK, font, anchor="rm")
            at = place(share * x1, y0)
            draw.text((at[0], at[1] + 6), f"{share * x1:.3g}", _INK, font, anchor="ma")
        for colour, line in zip(_LINES, lines.values(), strict=False):
            draw.line([place(*point) for point in line], colour, 2)
        end = origin
        for colour, name in zip(_LINES, names, strict=False):
            draw.text((end, 6), name, colour, font)
            end += int(font.getlength(name)) + 16
        draw.text((origin + span, height - 6), x, _INK, font, anchor="rs")
    return np.asarray(image)


class _Axes(NamedTuple):
    """Where a point of a panel is in its picture."""

    left: float
    top: float
    x_scale: float
    y_scale: float
    highest: float

    def __call__(self, x: float, y: float) -> tuple[float, float]:
        return self.left + x * self.x_scale, self.top + (self.highest - y) * self.y_scale


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _upright(
    image: Image.Image,
    text: str,
    bottom: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    """Text that reads upwards, from the middle of its start."""
    size = (int(font.getlength(text)) + 2, 20)
    lying = Image.new("RGB", size, "white")
    ImageDraw.Draw(lying).text((0, size[1] / 2), text, _INK, font, anchor="lm")
    turned = lying.rotate(90, expand=True)
    image.paste(turned, (bottom[0] - turned.width // 2, bottom[1] - turned.height))
