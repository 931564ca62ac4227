"""People's pictures through a network of any kind: pictures, arrays or classes come of them."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np

from facegen.engine.memory import check_memory
from facegen.files.json_text import json_text
from facegen.graphs import End
from facegen.graphs.data import to_data
from facegen.networks.graph_model import GraphModel
from facegen.networks.per_size import by_shape
from facegen.nn import Sigmoid, Softmax
from facegen.numbers.floats import check_result
from facegen.numbers.npy import header_of
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.photos.preparation import Preparation
from facegen.pictures.task import Made, Task, settings_of

_LONGEST = 150  # bytes of an output's name in a file's


@dataclass(frozen=True)
class Wanted:
    """What is to come of a picture.

    Attributes
    ----------
    pictures
        The one output is written as a picture; else every output as .npy.
    top
        So many classes with the largest scores become facts; 0 for none.
    names
        Of the classes, where they are known.
    layout
        Of arrays: "NCHW" or "NHWC".
    """

    pictures: bool = False
    top: int = 0
    names: Sequence[str] | None = None
    layout: str = "NCHW"


def is_picture(end: End) -> bool:
    """Whether an output may be a picture: a map of 1 or 3 channels."""
    return end.order is None and len(end.shape) == 3 and end.shape[0] in (1, 3)


def is_scores(end: End) -> bool:
    """Whether an output may be the scores of classes."""
    return len(end.shape) == 1 and end.shape[0] > 1


def file_names(ends: Sequence[End]) -> list[str]:
    """Outputs' names as files', each another one: of "a/b" and "a_b" the second is a_b.2.

    Long ones are cut: file systems take 255 bytes, of which an extension and more take some.
    """
    names: list[str] = []
    for end in ends:
        plain = re.sub(r"[^\w.-]", "_", end.name).lstrip(".") or "output"
        plain = plain.encode()[:_LONGEST].decode(errors="ignore")
        name, count = plain, 1
        while name in names:
            count += 1
            name = f"{plain}.{count}"
        names.append(name)
    return names


def picture_bytes(model: GraphModel) -> int:
    """What a picture takes: prepared, then in a batch, and what comes of it."""
    ends = (*model.inputs, *model.inputs, *model.outputs)
    return 4 * sum(math.prod(end.shape) for end in ends)


def task(model: GraphModel, preparation: Preparation, wanted: Wanted) -> Task:
    """A picture's results, one file an output.

    Raises
    ------
    OutOfMemory
        A single picture takes more than the machine has.
    """
    check_memory(picture_bytes(model), "one picture")
    graph = sha256(json_text(to_data(model.graph)).encode()).hexdigest()
    settings = settings_of(
        "run",
        model,
        graph=graph,
        preparation=asdict(preparation),
        as_pictures=wanted.pictures,
        layout=wanted.layout,
    )
    return Task(
        settings,
        preparation,
        partial(_compute, model, wanted),
        partial(_finish, model, preparation, wanted),
        model.runner.batch,
        least_pixels=picture_bytes(model) // 3,  # a photo's have three bytes
    )


def top_classes(
    model: GraphModel, scores: np.ndarray, top: int, names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """The classes with the largest scores, best first, of one picture's.

    Scores of a network that ends with a softmax or a sigmoid are shown as they are, others as the
    softmax makes them.

    Raises
    ------
    FormatError
        A score is not finite.
    """
    check_result(f"output {model.outputs[0].name}", scores)
    layer = {node.name: node.layer for node in model.graph.nodes}[model.graph.outputs[0].name]
    shown = scores.astype(np.float64)
    if not isinstance(layer, (Softmax, Sigmoid)):
        shown = np.exp(shown - shown.max())
        shown /= shown.sum()
    order = np.argsort(-scores, kind="stable")[:top]
    return [
        {"id": int(i), "probability": round(float(shown[i]), 6), "score": float(scores[i])}
        | ({} if names is None else {"name": names[i]})
        for i in order
    ]


def _compute(model: GraphModel, wanted: Wanted, prepared: list[np.ndarray]) -> list[Any]:
    """Of each picture its outputs."""
    channels_first = not wanted.pictures and wanted.layout == "NCHW"

    def outputs_of(batch: np.ndarray) -> list[Any]:
        if channels_first:
            results = model(batch.transpose(0, 3, 1, 2))
        else:
            results = model(batch, layout="NHWC")
        outputs = results if isinstance(results, tuple) else (results,)
        return list(zip(*outputs, strict=True))

    return by_shape(prepared, outputs_of)


def _finish(
    model: GraphModel,
    preparation: Preparation,
    wanted: Wanted,
    photo: Photo,
    values: Sequence[np.ndarray],
    outputs: tuple[str, ...],
) -> Made:
    facts = {}
    for end, each in zip(model.outputs, values, strict=True):
        check_result(f"output {end.name}", each)
    if wanted.top:
        facts["classes"] = top_classes(model, values[0], wanted.top, wanted.names)
    if wanted.pictures:
        files = {path: encode(preparation.pixels(values[0]), path) for path in outputs}
    else:
        files = {p: _npy(each) for p, each in zip(outputs, values, strict=bool(outputs))}
    return Made(files, facts)


def _npy(values: np.ndarray) -> bytes:
    stream = io.BytesIO(header_of(values.shape))
    stream.seek(0, io.SEEK_END)
    stream.write(np.ascontiguousarray(values, "<f4").data)
    return stream.getvalue()
