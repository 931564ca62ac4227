"""Small runs into the folder out, and what became of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from facegen.pictures.items import Item
from facegen.pictures.report import Report
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from facegen.pictures.task import Task
from files import negative, one, png


def make(count: int) -> list[Item]:
    """Pictures p0.png ... of different sizes and the items for out/."""
    for i in range(count):
        Path(f"p{i}.png").write_bytes(png(5 + i, 7, seed=i))
    return [one(f"p{i}.png", f"out/p{i}.png") for i in range(count)]


def go(items: list[Item], task: Task | None = None, overwrite: bool = False) -> Report:
    results = FolderResults("out", overwrite)
    try:
        return run(items, task or negative(), results)
    finally:
        results.close()


def statuses(report: Report) -> str:
    """One letter an item."""
    return "".join(outcome.status[0] for outcome in report.outcomes)


def read(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))
