"""The algorithms of convolution by name: what each does, takes, costs and errs.

:data:`ALGORITHMS` lists them; ``conv2d(..., algorithm=name)`` and its kin run one, on the CPU or,
but for "fft" and "strassen", on a GPU. Here is what can be known without running: which layers an
algorithm takes, the memory and the multiplications it needs on the CPU, and how far its results may
be from the definition's. The kernels themselves answer (``csrc/cpu``, ``csrc/cuda/fit``), so that
this and what runs cannot differ. docs/learn/algorithms.md explains each.

A layer is a :class:`facegen.nn.Conv2d`, :class:`~facegen.nn.ConvTranspose2d` or
:class:`~facegen.nn.Linear`, with the :class:`facegen.nn.Shape` of its input.

Examples
--------
>>> layer, x = Conv2d(64, 64, 3, padding=1, bias=False), Shape(56, 56, 64)
>>> for algorithm in ALGORITHMS:
...     if (reason := algorithm.why_not(layer, x)) is None:
...         times = definition(layer, x) / algorithm.multiplications(layer, x)
...         print(f"{algorithm.name}: {times:.1f} times fewer multiplications")
naive: 1.0 times fewer multiplications
direct: 1.0 times fewer multiplications
im2col: 1.0 times fewer multiplications
winograd: 3.9 times fewer multiplications
fft: 4.4 times fewer multiplications
strassen: 1.1 times fewer multiplications
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from facegen import _native
from facegen.nn import Graph, Shape, lower
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.program import Depthwise, Gemm, Program
from facegen.nn.target import find_target

_EPS = float(np.finfo(np.float32).eps)  # twice the rounding unit


@dataclass(frozen=True)
class Algorithm:
    """One way to compute convolutions, transposed convolutions and linear layers.

    Attributes
    ----------
    name
        That ``conv2d(..., algorithm=name)`` takes.
    summary
        In a line.
    growth
        How many times as large as the definition's its errors may be, for a layer.
    spreads
        Axes of (n, h, w, out) along which the error of an output is relative to the largest sum of
        magnitudes, not to its own: what it is computed from is summed up with others along them.
    """

    name: str
    summary: str
    growth: Callable[[GemmLayer], float] = field(default=lambda layer: 1.0, repr=False)
    spreads: tuple[int, ...] = ()

    def why_not(self, layer: GemmLayer, x: Shape, device: str = "cpu") -> str | None:
        """Why this algorithm does not take the layer on an input of shape `x`; None where it does.

        `device`: a kind of device, as :func:`facegen.nn.target.find_target` names it: "cpu",
        "cuda". It need not be here.
        """
        target = find_target(device, "strict")
        try:
            program = self._lower(layer, x)
        except ValueError as error:
            return str(error)
        for step in program.steps:
            if isinstance(step, Gemm) and (reason := target.why_not(step, program.buffers)):
                return reason
        return None

    def scratch_bytes(self, layer: GemmLayer, x: Shape, isa: str | None = None) -> int:
        """Memory between input and output of one image, on one thread; for this layer alone.

        `isa`: another instruction set of the CPU than the best one. Raises ValueError where the
        algorithm does not take the layer. Both hold for the next two.
        """
        return max(scratch for scratch, _, _ in self._costs(layer, x, isa))

    def weight_bytes(self, layer: GemmLayer, x: Shape, isa: str | None = None) -> int:
        """Memory of the weights as the algorithm keeps them, transformed and padded to vectors."""
        return sum(weights for _, weights, _ in self._costs(layer, x, isa))

    def multiplications(self, layer: GemmLayer, x: Shape, isa: str | None = None) -> float:
        """Of numbers of one image, or sums of them, with weights, or sums of these.

        :func:`definition` has the definition's. The multiplications by constants in the transforms
        of "winograd" and "fft" are not counted.
        """
        return sum(products for _, _, products in self._costs(layer, x, isa))

    def tolerance(
        self, layer: GemmLayer, magnitude: NDArray[np.floating], isa: str | None = None
    ) -> NDArray[np.floating]:
        """How far each result may be from the exact one.

        Parameters
        ----------
        layer
        magnitude : (n, h, w, out)
            What the layer makes of the absolute values of input, weight and bias, in float64.
        isa
            As :meth:`scratch_bytes`'s; a GPU counts as "portable".

        Returns
        -------
        (n, h, w, out)
            eps (sqrt(K) + 2) times the magnitude for sums of K products: rounding errors of random
            sign grow like sqrt(K) (Higham and Mary 2019). Times `growth`, of the largest magnitude
            along the axes over which the error `spreads`.
        """
        length = float(np.prod(layer.weight_shape[1:]))
        relative = _EPS * (np.sqrt(length) + 2) * self.growth(layer)
        if self.spreads:
            largest = magnitude.max(axis=self.spreads, keepdims=True)
            magnitude = np.broadcast_to(largest, magnitude.shape)
        bound = relative * magnitude
        if self.name == "direct" and (isa or _native.choose_isa()) == "amx":
            # Numbers of a fixed point: 8 eps of the product of the largest of both factors, at most
            # twice the largest magnitude (docs/accuracy.md).
            bound = bound + 16 * _EPS * np.sqrt(length) * np.max(magnitude, initial=0)
        return bound

    def _lower(self, layer: GemmLayer, x: Shape) -> Program:
        return lower(Graph.of_layer("one layer", layer, x), None, self.name)

    def _costs(self, layer: GemmLayer, x: Shape, isa: str | None) -> list[tuple[int, int, float]]:
        """Of each step that the layer becomes: one, or more where it has groups."""
        program = self._lower(layer, x)
        target = _native.FitCpu(isa or _native.choose_isa())
        found = []
        for step in program.steps:
            if isinstance(step, Depthwise):
                found.append((0, 4 * int(np.prod(layer.weight_shape)), definition(layer, x)))
            else:
                found.append(target.costs(step, program.buffers))
        return found


def definition(layer: GemmLayer, x: Shape) -> float:
    """Multiplications of one image by the definition: of what lies inside the input alone."""
    return layer.flops(x) / 2


# Of Winograd's transforms, for values of about equal size: up to 8 on each of two axes
# (tests/native/tolerance.h). All inputs of a tile take part in each of its outputs.
_WINOGRAD_GROWTH = 8.0**2


def _fft_growth(layer: GemmLayer) -> float:
    """Of convolution by the FFT, in tiles of up to T = 64 numbers on an axis.

    A transform of T * T numbers rounds log2(T * T) = 12 times. There are two one after another, and
    the sums between them, twice as large as need be by Gauss's form: sqrt(C) + 24 units. They are
    of the root of the sum of squares over the tile, which is up to T / R times that of a window.
    """
    channels = layer.weight_shape[-1]
    definition = np.sqrt(np.prod(layer.weight_shape[1:])) + 2
    return float(max(1.0, 64 / min(layer.kernel_size) * (np.sqrt(channels) + 24) / definition))


# Of Strassen's algorithm, 3 a level (Higham 2002, 23.2), of which there are at most two: relative
# to the largest rows and columns of the matrices.
STRASSEN_GROWTH = 3.0**2

ALGORITHMS = (
    Algorithm("naive", "the definition, loop by loop: one multiplication after another"),
    Algorithm(
        "direct",
        "the definition's products, blocked for caches and registers; the input stays where it is",
    ),
    Algorithm("im2col", "all windows written out as the rows of a matrix, then one product"),
    Algorithm(
        "winograd",
        "small tiles of outputs as polynomials, known from their values at few points",
        growth=lambda layer: _WINOGRAD_GROWTH,
        spreads=(1, 2),
    ),
    Algorithm(
        "fft",
        "tiles of the map as frequencies: one product a frequency for a filter of any size",
        growth=_fft_growth,
        spreads=(1, 2),
    ),
    Algorithm(
        "strassen",
        "im2col's product with 7 products of blocks instead of 8; by this name alone",
        growth=lambda layer: STRASSEN_GROWTH,
        spreads=(1, 2, 3),
    ),
)


def find(name: str) -> Algorithm:
    """The algorithm of a name. Raises ValueError where there is none."""
    for algorithm in ALGORITHMS:
        if algorithm.name == name:
            return algorithm
    names = ", ".join(f'"{algorithm.name}"' for algorithm in ALGORITHMS)
    raise ValueError(f"an algorithm is one of {names}, not {name!r}")
