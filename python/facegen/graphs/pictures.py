"""What a saved graph says of pictures: how they are prepared, and the classes that it knows."""

from __future__ import annotations

from typing import Any

from facegen.graphs.data import Kinds, entries
from facegen.nn import Graph
from facegen.photos.preparation import CROP, STRETCH, Preparation

MOST_CLASSES = 100_000
LONGEST_NAME = 200  # characters
_NUMBER = (float, int)


def to_data(preparation: Preparation) -> dict[str, Any]:
    """All but the size, which is the input's."""
    return {
        "low": preparation.low,
        "high": preparation.high,
        "mean": list(preparation.mean),
        "std": list(preparation.std),
        "bgr": preparation.bgr,
        "fit": preparation.fit,
    }


def from_data(data: object, graph: Graph) -> Preparation:
    """What `to_data` wrote, for the one input of a graph; ValueError where it is no such."""
    where = "preparation"
    kinds: Kinds = {
        "low": _NUMBER, "high": _NUMBER, "mean": list, "std": list, "bgr": bool, "fit": str,
    }  # fmt: skip
    stated = entries(data, where, kinds)
    if stated["fit"] not in (STRETCH, CROP):
        found = stated["fit"]
        raise ValueError(f"{where}: expected fit {STRETCH!r} or {CROP!r}, not {found!r:.40}")
    if len(graph.inputs) != 1:
        raise ValueError(f"{where}: expected 1 input, found {len(graph.inputs)}")
    height, width, channels = graph.inputs[0].shape
    try:
        return Preparation(
            height,
            width,
            channels,
            float(stated["low"]),
            float(stated["high"]),
            _numbers(stated["mean"], channels),
            _numbers(stated["std"], channels),
            stated["bgr"],
            stated["fit"],
        )
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from None


def classes(data: list[object], graph: Graph) -> tuple[str, ...]:
    """The names of a graph's scores, of a picture or of each pixel; ValueError where none are."""
    if len(graph.outputs) != 1:
        raise ValueError("classes: expected one output of scores")
    count = graph.outputs[0].shape.channels
    if len(data) != count or count > MOST_CLASSES:
        raise ValueError(f"classes: expected {count:,} names, found {len(data):,}")
    names: list[str] = []
    for name in data:
        if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
            raise ValueError(f"classes: expected a name, found {name!r:.60}")
        names.append(name)
    return tuple(names)


def _numbers(data: list[object], channels: int) -> tuple[float, ...]:
    if len(data) not in (1, channels) or not all(type(each) in _NUMBER for each in data):
        raise ValueError(f"expected 1 number or {channels}, found {data!r:.60}")
    return tuple(float(each) for each in data)  # type: ignore[arg-type]
