"""What people's pictures show: facts, and no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from facegen.networks.squeezenet import Classifier, best
from facegen.photos.photo import Photo
from facegen.pictures.task import Made, Task
from facegen.weights import digest


def task(classifier: Classifier, top: int, names: Sequence[str] | None) -> Task:
    """The `top` most probable classes of each picture as the fact "classes"."""
    settings = {
        "command": "classify",
        "network": digest(classifier.weights),
        **classifier.arithmetic,
        "top": top,
    }
    return Task(
        settings,
        partial(_prepare, classifier),
        partial(_compute, classifier),
        partial(_finish, top, names),
    )


def _prepare(classifier: Classifier, photo: Photo) -> np.ndarray:
    return classifier.prepare(photo.pixels)


def _compute(classifier: Classifier, batch: list[np.ndarray]) -> np.ndarray:
    return classifier.runner(np.stack(batch))[:, 0, 0]


def _finish(
    top: int,
    names: Sequence[str] | None,
    photo: Photo,
    probabilities: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    classes = [
        {"id": guess.class_id, "probability": round(guess.probability, 6)}
        | ({} if names is None else {"name": names[guess.class_id]})
        for guess in best(probabilities, top)
    ]
    return Made(facts={"classes": classes})
