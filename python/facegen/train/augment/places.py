"""Where pictures are changed: on the host, or on a GPU that trains on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from facegen import processors
from facegen.engine.cuda import cuda_module
from facegen.engine.device import CPU
from facegen.engine.devices import parse_device
from facegen.engine.foreign import find_own, is_own, locate
from facegen.train.augment.arrays import check_amounts
from facegen.train.augment.change import Change
from facegen.train.augment.colour import parts_of
from facegen.train.augment.cutout import squares
from facegen.train.augment.geometry import mirror

if TYPE_CHECKING:
    from facegen._cuda import DeviceArray


class Place(Protocol):
    """Pictures (n, h, w, c) float32 in, on the host or at the place; arrays at the place out."""

    on_device: bool

    def changed(self, pictures: Any, change: Change, which: np.ndarray | None = None) -> Any:
        """As `change(pictures[which])`; None: of all of them."""

    def changed_back(self, gradient: Any, change: Change) -> Any:
        """As `change.adjoint(gradient)`."""

    def either_side(self, pictures: Any, directions: Any, apart: float) -> tuple[Any, Any]:
        """Each picture moved against its direction and along it: the two are so far apart.

        (n, h, w, c) all. `apart` is the Euclidean length of their difference; a picture whose
        direction is zeros stays.
        """


def place_of(device: str, threads: int | None) -> Place:
    """That of a trainer on "cpu" or "cuda:0"; the threads are the CPU's, None: one a processor."""
    if device == CPU:
        return OnHost(threads)
    return OnGpu(parse_device(device).indices[0], threads)


class OnHost:
    """See `Place`."""

    on_device = False

    def __init__(self, threads: int | None) -> None:
        self._threads = threads

    def changed(
        self, pictures: Any, change: Change, which: np.ndarray | None = None
    ) -> np.ndarray:
        """See `Place`."""
        return change(pictures if which is None else pictures[which], self._threads)

    def changed_back(self, gradient: Any, change: Change) -> np.ndarray:
        """See `Place`."""
        return change.adjoint(gradient, self._threads)

    def either_side(
        self, pictures: Any, directions: Any, apart: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Place`."""
        squares = np.square(directions, dtype=np.float64).sum(axis=(1, 2, 3), keepdims=True)
        lengths = np.sqrt(np.where(squares > 0, squares, np.inf))
        move = directions * (apart / 2 / lengths).astype(np.float32)
        return pictures - move, pictures + move


class OnGpu:
    """See `Place`. What comes from the host goes up; the amounts that are drawn come from there.

    Pictures are the host's to the bit, but for the last bits where colours change and of
    `either_side`; gradients are within float32 rounding, and the same in every run.
    """

    on_device = True

    def __init__(self, index: int, threads: int | None = None) -> None:
        self._cuda, self._index = cuda_module(), index
        copiers = processors.count() if threads is None else threads
        self._native = self._cuda.CudaPictures(index, copiers)

    def changed(
        self, pictures: Any, change: Change, which: np.ndarray | None = None
    ) -> DeviceArray:
        """See `Place`."""
        return self._run(pictures, change, which, adjoint=False)

    def changed_back(self, gradient: Any, change: Change) -> DeviceArray:
        """See `Place`."""
        return self._run(gradient, change, adjoint=True)

    def either_side(
        self, pictures: Any, directions: Any, apart: float
    ) -> tuple[DeviceArray, DeviceArray]:
        """See `Place`."""
        less, more = (self._empty(np.shape(pictures)) for _ in range(2))
        self._native.either_side(
            self._source(pictures), self._source(directions), apart, less, more
        )
        return less, more

    def _run(
        self, pictures: Any, change: Change, which: np.ndarray | None = None, *, adjoint: bool
    ) -> DeviceArray:
        shape = np.shape(pictures)
        if len(shape) != 4 or 0 in shape[1:]:
            raise ValueError(f"pictures: expected shape (n, h, w, c), found {shape}")
        n = shape[0] if which is None else len(which)
        to = self._empty((n, *shape[1:]))
        _, height, width, _ = shape
        mirrored, matrix, lens = change.mirrored, change.matrix, change.lens
        if mirrored is not None and matrix is not None:  # one resampling does both
            mirrored, matrix = None, mirror(mirrored) @ matrix
        if matrix is not None:
            matrix = check_amounts("matrix", matrix, (n, 3, 3))
            lens = check_amounts("lens", np.zeros(n) if lens is None else lens, (n,))
        hidden = None
        if change.hidden is not None:
            x, y = change.hidden
            hidden = squares(x, y, change.hidden_share, height, width)
        self._native.change(
            self._source(pictures),
            None if mirrored is None else np.ascontiguousarray(mirrored, np.uint8),
            matrix,
            None if matrix is None else lens,
            change.interpolation == "bicubic",
            change.border == "mirror",
            None if change.colour is None else _colours(change.colour, n, adjoint),
            hidden,
            adjoint,
            to,
            None if which is None else np.ascontiguousarray(which, np.int32),
            shape[0],
        )
        return to

    def _empty(self, shape: tuple[int, ...]) -> DeviceArray:
        array: DeviceArray = self._cuda.DeviceArray(shape, "float32", self._index, ordered=True)
        return array

    def _source(self, pictures: Any) -> Any:
        """As `CudaPictures` takes an array."""
        own = is_own(pictures)
        found = [find_own(pictures)] if own else locate([pictures], ["pictures"])[1]
        if not found:
            return np.ascontiguousarray(pictures, np.float32)
        (there,) = found
        if there.device != self._index:
            raise ValueError(f"pictures are on cuda:{there.device}, not on cuda:{self._index}")
        behind = pictures if own else there.stream
        return "pictures", there.pointer, there.element, there.shape[1:], there.strides, behind


def _colours(matrix: np.ndarray, n: int, adjoint: bool) -> np.ndarray:
    """(n, 21): of a pixel and of the mean by rows, and what is added."""
    of_pixel, of_mean, shift = parts_of(matrix, n)
    if adjoint:  # every pixel has its share of the mean
        of_pixel, of_mean = (part.transpose(0, 2, 1) for part in (of_pixel, of_mean))
        shift = np.zeros_like(shift)
    parts = (of_pixel, of_mean, shift)
    return np.concatenate([part.reshape(n, -1) for part in parts], axis=1)
