"""A figure to draw on, and its way to a file."""

from __future__ import annotations

import io
import os
from typing import Any

from facegen import extras
from facegen.errors import FacegenError
from facegen.files.atomic import AtomicFile

FORMATS = (".png", ".svg", ".pdf")
# They differ in lightness too: apart in print and for colour-blind readers.
COLOURS = ("#22333b", "#d1495b", "#3d6b82", "#e0a030", "#7ba3b8", "#6a994e", "#8d5a97", "#b9b9b9")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")


def check(path: str) -> None:
    """Whether a picture of that name can be drawn.

    Raises
    ------
    FacegenError
        Its extension is none of `FORMATS`, or matplotlib is not installed.
    """
    extension = os.path.splitext(path)[1].lower()
    if extension not in FORMATS:
        raise FacegenError(f"{path}: expected a name with {', '.join(FORMATS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise FacegenError(
            f"{path}: a plot needs matplotlib, which is missing: {extras.install('plot')}"
        ) from None


def figure(columns: int = 1, rows: int = 1, width: float = 5.6, height: float = 3.9) -> Any:
    """A figure, and an array (rows, columns) of its axes, of inches each."""
    from matplotlib.figure import Figure

    made = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return made, made.subplots(rows, columns, squeeze=False)


def plain(axes: Any, title: str, x: str, y: str) -> None:
    """Titles, and no more lines than are needed."""
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(color="#e5e5e5", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def save(made: Any, path: str) -> None:
    """Write a figure; the file appears when it is complete."""
    data = io.BytesIO()
    made.savefig(data, format=os.path.splitext(path)[1][1:].lower(), dpi=130)
    with AtomicFile(path) as file:
        file.write(data.getvalue())
