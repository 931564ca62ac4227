"""The arrays of one call: what the caller passed, checked, as the program's inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facegen.engine.foreign import ELEMENTS, Library, OnDevice
from facegen.nn.program import View

LAYOUTS = {"NHWC": (0, 1, 2, 3), "NCHW": (0, 2, 3, 1)}  # where n, height, width, channels are


def shape_in(layout: str, count: int, view: View) -> tuple[int, ...]:
    """Of `count` images of a view."""
    if layout == "NHWC":
        return (count, view.height, view.width, view.channels)
    return (count, view.channels, view.height, view.width)


def count_of(shapes: Sequence[tuple[int, ...]], views: Sequence[View], layout: str) -> int:
    """Images of a batch.

    Raises
    ------
    ValueError
        A shape is not that of its view, or the arrays have unequal n.
    """
    for shape, view in zip(shapes, views, strict=True):
        expected = shape_in(layout, 0, view)[1:]
        vector = view.height == view.width == 1 and tuple(shape[1:]) == (view.channels,)
        if tuple(shape[1:]) != expected and not vector or len(shape) < 2:
            raise ValueError(
                f"expected an array of shape (n, {', '.join(map(str, expected))}), "
                f"found {tuple(shape)}"
            )
    counts = [shape[0] for shape in shapes]
    if len(set(counts)) > 1:
        raise ValueError(f"batches of unequal size: {counts}")
    return counts[0] if counts else 0


def as_nhwc(x: np.ndarray, layout: str) -> np.ndarray:
    """A view of the same values as (n, height, width, channels)."""
    if x.ndim == 2:  # maps of one pixel
        return x[:, None, None, :]
    return x.transpose(LAYOUTS[layout])


Place = tuple[int, str, tuple[int, ...], tuple[int, ...]]  # as `CudaExecutable.enqueue` has it


def place_of(found: OnDevice, layout: str, pixels: bool) -> Place:
    """An array in a GPU's memory as the engine takes it.

    Raises
    ------
    ValueError
        Elements of another type.
    """
    if found.element not in ELEMENTS:
        raise ValueError(f"expected {', '.join(ELEMENTS)}, found an array of {found.element}")
    element = "pixels" if pixels and found.element == "uint8" else found.element
    shape, strides = found.shape, found.strides
    if len(shape) == 2:
        return found.pointer, element, (1, 1, shape[1]), (strides[0], 0, 0, strides[1])
    n, h, w, c = LAYOUTS[layout]
    return (
        found.pointer,
        element,
        (shape[h], shape[w], shape[c]),
        (strides[n], strides[h], strides[w], strides[c]),
    )


def located(arrays: Sequence[Any], libraries: Sequence[Library | None]) -> list[OnDevice | None]:
    """Where arrays are; None for those on the host.

    Raises
    ------
    ValueError
        One cannot be shared, or some are on the host and others on a device.
    """
    found: list[OnDevice | None] = []
    for i, (x, library) in enumerate(zip(arrays, libraries, strict=True)):
        try:
            found.append(None if library is None else library.find(x))
        except (ValueError, BufferError) as error:
            raise ValueError(f"array {i} {error}") from None
    homes = {None if place is None else place.device for place in found}
    if len(homes) > 1:
        names = ", ".join("the host" if home is None else f"cuda:{home}" for home in homes)
        raise ValueError(f"the arrays of a call must be in one place, not on {names}")
    return found
