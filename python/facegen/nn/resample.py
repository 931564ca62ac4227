"""Maps of another height and width: what each row and each column of the output is made of.

Interpolation, averages over windows, borders and slices are all separable: an output is a weighted
sum of some input rows, of which each is one of some input columns. So a layer says for one axis
which positions make an output, and one op does them all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from facegen.cached import cached_property
from facegen.nn.layer import Layer, Shape
from facegen.nn.program import AxisTaps
from facegen.nn.window import (
    MOST_POSITIONS,
    IntOrPair,
    Padding,
    WindowAxis,
    padding_pairs,
    pair,
    window,
)

Entry = Mapping[int, float]  # input position -> weight
Numbers = float | Sequence[float]

# Entries of an axis' table, which is made here entry by entry: a file of some bytes could ask for
# more than there is memory. A side of 4,096 has 16,384 by a cubic.
MOST_TAPS = 2**22


class Resampling(Layer, ABC):
    """A layer whose outputs are sums of input rows and columns."""

    @abstractmethod
    def taps(self, x: Shape) -> tuple[AxisTaps, AxisTaps]:
        """What rows and columns of the output are made of, for an input of shape `x`."""

    def _with_table(self, x: Shape, y: Shape, taps: tuple[int, int] = (1, 1)) -> Shape:
        """`y`, whose rows and columns are each a sum of up to `taps`; ValueError if too many."""
        for out, each in zip(y[:2], taps, strict=False):
            if out * each > MOST_TAPS:
                raise ValueError(
                    f"{self} of an input {x} sums {out:,} times up to {each:,} rows or columns, "
                    f"more than {MOST_TAPS:,} in all"
                )
        return y


def axis_taps(entries: Sequence[Entry]) -> AxisTaps:
    """The entries of all outputs as a table; weights of 0 are left out."""
    kept = [[(at, weight) for at, weight in e.items() if weight != 0] for e in entries]
    taps = max(1, *map(len, kept))
    filled = [each + [(-1, 0.0)] * (taps - len(each)) for each in kept]
    return AxisTaps(
        taps,
        tuple(at for each in filled for at, _ in each),
        tuple(weight for each in filled for _, weight in each),
    )


@dataclass(frozen=True)
class Upsample(Resampling):
    """Interpolation to `size` = (height, width), or by a `scale`, which may have a fraction.

    A scale is a float32, as ONNX has it, and so is its product with a size, of which what is behind
    the point is dropped: 10 pixels by 0.7 are 7, though that float32 is below 0.7.

    Attributes
    ----------
    mode
        "linear", "nearest" or "cubic" (Keys 1981, a = -0.75; positions outside repeat the edge).
    coordinates
        Where an output lies in the input, as ONNX names it: "half_pixel" (PyTorch's
        ``align_corners=False``), "align_corners", "asymmetric" or "pytorch_half_pixel". None:
        half_pixel, or of nearest asymmetric, as in PyTorch.
    rounding
        Of nearest, as ONNX names it: "floor", "ceil", "round_prefer_floor", "round_prefer_ceil".
    """

    size: IntOrPair | None = None
    scale: Numbers | None = None
    mode: Literal["linear", "nearest", "cubic"] = "linear"
    coordinates: (
        Literal["half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"] | None
    ) = None
    rounding: Literal["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"] = "floor"

    def __post_init__(self) -> None:
        if (self.size is None) == (self.scale is None):
            raise ValueError(f"Upsample takes either size or scale, not {self}")
        if self.size is not None:
            pair(self.size, "size", 1)
        if any(not 0 < factor <= MOST_POSITIONS for factor in self._stated_scales):
            raise ValueError(
                f"scale must be positive and at most {MOST_POSITIONS}, not {self.scale!r}"
            )
        for value, known in (
            (self.mode, _MODES),
            (self.coordinates or "half_pixel", _COORDINATES),
            (self.rounding, _ROUNDINGS),
        ):
            if value not in known:
                raise ValueError(f"expected one of {', '.join(known)}, not {value!r:.40}")

    @property
    def placed_by(self) -> str:
        """The coordinates, those of the mode where none are given."""
        return self.coordinates or ("asymmetric" if self.mode == "nearest" else "half_pixel")

    @property
    def scales(self) -> tuple[float, ...]:
        """(vertical, horizontal), rounded to float32; or nothing where there is a size."""
        return tuple(float(np.float32(factor)) for factor in self._stated_scales)

    @property
    def _stated_scales(self) -> tuple[float, ...]:
        if self.scale is None:
            return ()
        scales = self.scale if isinstance(self.scale, Sequence) else [self.scale] * 2
        if len(scales) != 2:
            raise ValueError(f"scale must be a number or a pair of numbers, not {self.scale!r}")
        return tuple(scales)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        if self.size is not None:
            sizes = pair(self.size, "size", 1)
        else:
            vertical, horizontal = self.scales
            whole = scaled_size(x.height, vertical), scaled_size(x.width, horizontal)
            sizes = pair(whole, "height and width", 1)
        most = {"nearest": 1, "linear": 2, "cubic": 4}[self.mode]
        return self._with_table(x, Shape(*sizes, x.channels), (most, most))

    def taps(self, x: Shape) -> tuple[AxisTaps, AxisTaps]:
        scales = self.scales or (None, None)
        vertical, horizontal = (
            axis_taps(self._axis(size, out, scale))
            for size, out, scale in zip(x[:2], self.output_shape(x)[:2], scales, strict=True)
        )
        return vertical, horizontal

    def _axis(self, size: int, out: int, scale: float | None) -> list[Entry]:
        entry, to_input = _MODES[self.mode], _COORDINATES[self.placed_by]
        # Exact where scale or size is whole: o / 3 may not be o * (1 / 3).
        divide = (lambda v: v * size / out) if scale is None else (lambda v: v / scale)
        positions = (to_input(o, size, out, divide) for o in range(out))
        if self.mode == "nearest":
            nearest = _ROUNDINGS[self.rounding]
            # In float32 1 / 0.1 is 10, though that float32 is above 0.1.
            rounded = (nearest(float(np.float32(at))) for at in positions)
            return [{min(max(at, 0), size - 1): 1.0} for at in rounded]
        return [entry(at, size) for at in positions]


def scaled_size(size: int, scale: float) -> int:
    """Whole pixels of `size` by a scale, as ONNX Runtime has them: in float32."""
    return math.floor(np.float32(size) * np.float32(scale))


Divide = Callable[[float], float]


def _half_pixel(o: int, size: int, out: int, divide: Divide) -> float:
    return divide(o + 0.5) - 0.5


def _pytorch_half_pixel(o: int, size: int, out: int, divide: Divide) -> float:
    return divide(o + 0.5) - 0.5 if out > 1 else 0.0


def _align_corners(o: int, size: int, out: int, divide: Divide) -> float:
    return o * (size - 1) / (out - 1) if out > 1 else 0.0


def _asymmetric(o: int, size: int, out: int, divide: Divide) -> float:
    return divide(o)


def _linear(at: float, size: int) -> Entry:
    at = min(max(at, 0.0), size - 1.0)
    low = math.floor(at)
    return {low: 1.0 - (at - low), min(low + 1, size - 1): at - low} if at > low else {low: 1.0}


def _cubic(at: float, size: int) -> Entry:
    a, low = -0.75, math.floor(at)
    entry: dict[int, float] = {}
    for position in range(low - 1, low + 3):
        d = abs(at - position)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        weight = near if d <= 1 else a * (((d - 5) * d + 8) * d - 4)
        clamped = min(max(position, 0), size - 1)
        entry[clamped] = entry.get(clamped, 0.0) + weight
    return entry


_MODES: dict[str, Callable[[float, int], Entry]] = {
    "linear": _linear,
    "nearest": _linear,  # of rounded positions
    "cubic": _cubic,
}
_COORDINATES = {
    "half_pixel": _half_pixel,
    "pytorch_half_pixel": _pytorch_half_pixel,
    "align_corners": _align_corners,
    "asymmetric": _asymmetric,
}
_ROUNDINGS: dict[str, Callable[[float], int]] = {
    "floor": math.floor,
    "ceil": math.ceil,
    "round_prefer_floor": lambda at: math.ceil(at - 0.5),
    "round_prefer_ceil": lambda at: math.floor(at + 0.5),
}


@dataclass(frozen=True)
class AvgPool2d(Resampling):
    """Mean over windows.

    Stride defaults to the kernel. `ceil_mode` also counts a last, partial window;
    `count_include_pad` counts zeros in the padding too, as PyTorch does.
    """

    kernel: IntOrPair
    stride: IntOrPair | None = None
    padding: Padding = 0
    ceil_mode: bool = False
    count_include_pad: bool = True

    def __post_init__(self) -> None:
        for axis in self.axes:
            # Every window then holds at least one pixel.
            if max(axis.pad_front, axis.pad_back) >= axis.kernel:
                raise ValueError(f"the padding of {self} must be smaller than its kernel")

    @cached_property
    def axes(self) -> tuple[WindowAxis, WindowAxis]:
        stride = self.kernel if self.stride is None else self.stride
        return window(self.kernel, stride, self.padding)

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        height = self.axes[0].pool_size(x.height, self.ceil_mode)
        width = self.axes[1].pool_size(x.width, self.ceil_mode)
        if height < 1 or width < 1:
            raise ValueError(f"the window of {self} does not fit into its input {x}")
        most = min(self.axes[0].kernel, x.height), min(self.axes[1].kernel, x.width)
        return self._with_table(x, Shape(height, width, x.channels), most)

    def taps(self, x: Shape) -> tuple[AxisTaps, AxisTaps]:
        vertical, horizontal = (
            axis_taps([self._window(axis, o, size) for o in range(out)])
            for axis, size, out in zip(self.axes, x[:2], self.output_shape(x)[:2], strict=True)
        )
        return vertical, horizontal

    def _window(self, axis: WindowAxis, o: int, size: int) -> Entry:
        first = o * axis.stride - axis.pad_front
        last = min(first + axis.kernel, size + axis.pad_back)
        inside = range(max(first, 0), min(last, size))
        count = last - first if self.count_include_pad else len(inside)
        return dict.fromkeys(inside, 1 / count)


@dataclass(frozen=True)
class Pad2d(Resampling):
    """Pixels around a map: "zeros", copies of the "edge", or what it "reflect"-s."""

    padding: Padding
    mode: Literal["zeros", "edge", "reflect"] = "zeros"

    def __post_init__(self) -> None:
        padding_pairs(self.padding)
        if self.mode not in ("zeros", "edge", "reflect"):
            raise ValueError(f'mode must be "zeros", "edge" or "reflect", not {self.mode!r:.40}')

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        (top, bottom), (left, right) = padding_pairs(self.padding)
        if self.mode == "reflect" and (max(top, bottom) >= x.height or max(left, right) >= x.width):
            raise ValueError(f"{self} reflects more than there is of its input {x}")
        y = Shape(x.height + top + bottom, x.width + left + right, x.channels)
        return self._with_table(x, y)

    def taps(self, x: Shape) -> tuple[AxisTaps, AxisTaps]:
        vertical, horizontal = (
            axis_taps([self._pixel(o - front, size) for o in range(front + size + back)])
            for (front, back), size in zip(padding_pairs(self.padding), x[:2], strict=True)
        )
        return vertical, horizontal

    def _pixel(self, at: int, size: int) -> Entry:
        if self.mode == "edge":
            at = min(max(at, 0), size - 1)
        elif self.mode == "reflect":
            at = abs(at)
            at = min(at, 2 * (size - 1) - at)
        return {at: 1.0} if 0 <= at < size else {}


Range = tuple[int, int, int]  # first, count, step


@dataclass(frozen=True)
class Slice(Resampling):
    """Some rows and columns, each as (first, count, step); None is all. A step may be negative."""

    rows: Range | None = None
    columns: Range | None = None

    def __post_init__(self) -> None:
        for each in (self.rows, self.columns):
            if each is not None and (len(each) != 3 or each[1] < 1):
                raise ValueError(f"expected (first, count, step), count above 0, not {each!r}")
            if each is not None and each[2] == 0:
                raise ValueError("the step of a Slice must not be 0")

    def _positions(self, x: Shape) -> tuple[range, range]:
        found = []
        for each, size in zip((self.rows, self.columns), x[:2], strict=True):
            first, count, step = (0, size, 1) if each is None else each
            last = first + (count - 1) * step
            if not (0 <= first < size and 0 <= last < size):
                raise ValueError(f"{self} reaches beyond its input {x}")
            found.append(range(first, last + (1 if step > 0 else -1), step))
        return found[0], found[1]

    def output_shape(self, *inputs: Shape) -> Shape:
        (x,) = self._take(1, inputs)
        vertical, horizontal = self._positions(x)
        return self._with_table(x, Shape(len(vertical), len(horizontal), x.channels))

    def taps(self, x: Shape) -> tuple[AxisTaps, AxisTaps]:
        vertical, horizontal = (
            axis_taps([{at: 1.0} for at in each]) for each in self._positions(x)
        )
        return vertical, horizontal
