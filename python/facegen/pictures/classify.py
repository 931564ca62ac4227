"""What people's pictures show: facts, and no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from facegen.networks.classifier import Classifier
from facegen.numbers.floats import check_result
from facegen.photos.photo import Photo
from facegen.pictures.task import Made, Task


def task(classifier: Classifier, top: int, names: Sequence[str] | None) -> Task:
    """The `top` most probable classes of each picture as the fact "classes"."""
    return Task.of_model("classify", classifier, partial(_finish, classifier, top, names), top=top)


def _finish(
    classifier: Classifier,
    top: int,
    names: Sequence[str] | None,
    photo: Photo,
    probabilities: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    check_result("the network's output", probabilities)
    classes = [
        {"id": guess.class_id, "probability": round(guess.probability, 6)}
        | ({} if names is None else {"name": names[guess.class_id]})
        for guess in classifier.finish(probabilities, top)
    ]
    return Made(facts={"classes": classes})
