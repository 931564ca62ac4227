"""A call with NumPy arrays: they are checked, and become what engines read and write."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from facegen.engine.batch import Form, as_nhwc, count_of, overlaps_itself, shape_in
from facegen.engine.device import Engine
from facegen.engine.memory import check_memory
from facegen.nn.program import Program


def run_on_host(
    engine: Engine, program: Program, inputs: Sequence[Any], outs: Sequence[Any], form: Form
) -> list[np.ndarray]:
    """Compute a batch; gives `outs`, or new arrays where there are none.

    Raises
    ------
    ValueError, OutOfMemory
        As for `Runner.__call__`.
    """
    given = [np.asarray(x) for x in inputs]
    for i, x in enumerate(given):
        if x.dtype.kind not in "fiub":
            raise ValueError(f"array {i}: expected real numbers, found {x.dtype}")
    count = count_of([x.shape for x in given], program.inputs, form.layout)
    dtype = np.dtype(np.uint8 if form.as_pixels else np.float32)
    shapes = [shape_in(form.layout, count, view) for view in program.outputs]
    _check_outs(outs, shapes, dtype, given)
    arrays = [_as_engines_read(as_nhwc(x, form.layout), form.pixels) for x in given]
    in_place = form.layout == "NHWC" and all(y.flags.c_contiguous and y.flags.aligned for y in outs)
    if outs and in_place:
        engine.run(arrays, list(outs), count)
        return list(outs)
    results_bytes = dtype.itemsize * sum(map(math.prod, shapes))
    check_memory(results_bytes, f"{count:,} results of {program.name}")
    results = [engine.empty(shape_in("NHWC", count, view), dtype) for view in program.outputs]
    engine.run(arrays, results, count)
    if outs:
        for y, result in zip(outs, results, strict=True):
            as_nhwc(y, form.layout)[...] = result
        return list(outs)
    if form.layout == "NCHW":
        return [np.ascontiguousarray(y.transpose(0, 3, 1, 2)) for y in results]
    return results


def _as_engines_read(x: np.ndarray, pixels: bool) -> np.ndarray:
    """The same numbers, contiguous: float32, or uint8 that stand for -1 to 1."""
    dtype = np.uint8 if pixels and x.dtype == np.uint8 else np.float32
    return np.require(x, dtype, ["C", "A", "E"])  # "A": a view may begin at any byte


def _check_outs(
    outs: Sequence[Any],
    shapes: Sequence[tuple[int, ...]],
    dtype: np.dtype[Any],
    inputs: Sequence[np.ndarray],
) -> None:
    for y, shape in zip(outs, shapes, strict=bool(outs)):
        if not isinstance(y, np.ndarray) or y.dtype != dtype or y.shape != shape:
            found = f"{y.dtype} of {y.shape}" if isinstance(y, np.ndarray) else type(y).__name__
            raise ValueError(f"out: expected {dtype} of shape {shape}, found {found}")
        if not y.flags.writeable:
            raise ValueError("out is read-only")
        if overlaps_itself(y.shape, y.strides):
            raise ValueError("out overlaps itself in memory")
        if any(np.may_share_memory(x, y) for x in inputs):
            raise ValueError("out overlaps an input in memory")
    for i, y in enumerate(outs):
        if any(np.may_share_memory(y, other) for other in outs[:i]):
            raise ValueError("two arrays of out overlap in memory")
