"""Which digits images show: facts, and no files. A file is a picture, or IDX with many images."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from facegen.errors import FormatError
from facegen.media import digits
from facegen.networks.lenet import DIGITS, DigitClassifier, Guesses
from facegen.pictures.report import Outcome
from facegen.pictures.task import Made, Task, settings_of
from facegen.shares import chunks

FILES_AT_ONCE = 64  # whose images, few or many, are computed in chunks


def task(classifier: DigitClassifier) -> Task:
    """The fact "images": of each image in the file the digit and the probabilities of all ten."""
    settings, compute = settings_of("digits", classifier), partial(_compute, classifier)
    return Task(settings, _prepare, compute, _finish, FILES_AT_ONCE, digits.pixels, digits.parse)


def _prepare(images: np.ndarray) -> np.ndarray:
    """(n, 28, 28) uint8, as they were decoded."""
    return images


def _compute(classifier: DigitClassifier, batch: list[np.ndarray]) -> list[np.ndarray]:
    """Of the images of each file, (n, 28, 28), the probabilities, (n, 10)."""
    images = chunks(np.concatenate(batch), classifier.runner.chunk)
    parts = [classifier(part).probabilities for part in images]
    probabilities = np.concatenate([np.empty((0, DIGITS), np.float32), *parts])
    return np.split(probabilities, np.cumsum([len(file) for file in batch])[:-1])


def _finish(images: Any, probabilities: np.ndarray, outputs: tuple[str, ...]) -> Made:
    guesses = Guesses.of(probabilities)
    found = [
        {"digit": digit, "probability": row[digit], "probabilities": row}
        for digit, row in zip(guesses.digits.tolist(), probabilities.tolist(), strict=True)
    ]
    return Made(facts={"images": found})


def entries(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """What was found in each image, by name: that of its file, with its number if it has more."""
    return [entry for outcome in outcomes for entry in _entries(outcome)]


def _entries(outcome: Outcome) -> list[dict[str, Any]]:
    name, images = outcome.source, outcome.facts.get("images", [])
    one = len(images) == 1
    return [{"name": name if one else f"{name}[{i}]", **found} for i, found in enumerate(images)]


def judge(entries: list[dict[str, Any]], labels: np.ndarray) -> dict[str, Any]:
    """Put the right answers into the entries; accuracy, and how often which was taken for which."""
    confusion = [[0] * DIGITS for _ in range(DIGITS)]
    for entry, label in zip(entries, labels.tolist(), strict=True):
        if label >= DIGITS:
            raise FormatError(f"labels: expected 0 to 9, found {label}")
        entry["label"] = label
        confusion[label][entry["digit"]] += 1
    right = sum(confusion[i][i] for i in range(DIGITS))
    return {"right": right, "accuracy": right / max(len(entries), 1), "confusion": confusion}
