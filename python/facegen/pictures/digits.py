"""Which digits images show: facts, and no files. A file is a picture, or IDX with many images."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from facegen.media import digits
from facegen.networks.lenet import DIGITS, DigitClassifier
from facegen.pictures.task import Made, Task
from facegen.shares import chunks
from facegen.weights import digest

BATCH = 64  # files
CHUNK = 4096  # images computed at a time


def task(classifier: DigitClassifier) -> Task:
    """The fact "images": of each image in the file the digit and the probabilities of all ten."""
    settings = {
        "command": "digits",
        "network": digest(classifier.weights),
        **classifier.arithmetic,
    }
    compute = partial(_compute, classifier)
    return Task(settings, _prepare, compute, _finish, BATCH, digits.pixels, digits.parse)


def _prepare(images: np.ndarray) -> np.ndarray:
    """(n, 28, 28) uint8, as they were decoded."""
    return images


def _compute(classifier: DigitClassifier, batch: list[np.ndarray]) -> list[np.ndarray]:
    """Of the images of each file, (n, 28, 28), the probabilities, (n, 10)."""
    parts = [classifier(part).probabilities for part in chunks(np.concatenate(batch), CHUNK)]
    probabilities = np.concatenate([np.empty((0, DIGITS), np.float32), *parts])
    return np.split(probabilities, np.cumsum([len(file) for file in batch])[:-1])


def _finish(images: Any, probabilities: np.ndarray, outputs: tuple[str, ...]) -> Made:
    found = [
        {"digit": digit, "probability": row[digit], "probabilities": row}
        for digit, row in zip(
            probabilities.argmax(axis=1).tolist(), probabilities.tolist(), strict=True
        )
    ]
    return Made(facts={"images": found})
