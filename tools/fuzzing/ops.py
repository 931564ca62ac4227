"""facegen.kernels with random arguments: the definition's numbers; with absurd ones, its errors."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

import tolerance
from bench import reference
from facegen import _native, kernels
from facegen.errors import FacegenError

Rng = np.random.Generator
REFUSALS = TypeError, ValueError, MemoryError, FacegenError
MOST_FLOATS = 1 << 21  # of what is computed; larger results are only tried where none could be held
NO_MEMORY = 1 << 46
ABSURD: list[Any] = [
    0, -1, 2**15, 2**29 - 1, 2**29, 2**29 + 1, 2**30, 2**31 - 1, 2**31, 2**32 - 2, 2**62, 2**63,
    10**30, -(2**31), 1.5, "3", None, (1,), (1, 2, 3), (2, -1), (1, 2**31 - 1), (2**29, 1),
    ((0, 0), (0, 2**32 - 2)), ((2**28, 2**28), (1, 1)), np.int32(2), float("nan"), [], {},
]  # fmt: skip


class Case:
    """One call: its arguments, and whether one of them is absurd."""

    def __init__(self, rng: Rng) -> None:
        self.rng = rng
        self.absurd = rng.random() < 0.3

    def number(self, low: int, high: int, chance: float = 0.25) -> Any:
        """From `low` to `high`; in an absurd case perhaps anything."""
        if self.absurd and self.rng.random() < chance:
            return ABSURD[self.rng.integers(len(ABSURD))]
        return int(self.rng.integers(low, high + 1))

    def pair(self, low: int, high: int) -> Any:
        return self.number(low, high) if self.rng.random() < 0.5 else (
            self.number(low, high), self.number(low, high)
        )

    def padding(self, most: int) -> Any:
        kind = self.rng.integers(3)
        if kind == 2:
            return tuple((self.number(0, most, 0.1), self.number(0, most, 0.1)) for _ in range(2))
        return self.pair(0, most)

    def array(self, *shape: int) -> np.ndarray:
        """Values in some layout in memory; in an absurd case perhaps of odd values or types."""
        rng = self.rng
        values = rng.standard_normal(shape).astype(np.float32)
        match rng.integers(8):
            case 0:
                values = np.asfortranarray(values)
            case 1:
                values = np.repeat(values, 2, axis=-1)[..., ::2]
            case 2:
                values = values[::-1].copy()[::-1]
            case 3:
                memory = bytearray(values.nbytes + 4)
                odd = np.frombuffer(memory, np.float32, values.size, offset=int(rng.integers(1, 4)))
                values = np.copyto(odd, values.ravel()) or odd.reshape(shape)
        if self.absurd and rng.random() < 0.2:
            match rng.integers(6):
                case 0:
                    values = values.astype(">f4")
                case 1:
                    values = values.astype(np.float64)
                case 2:
                    values = values[..., np.newaxis]
                case 3:
                    values = np.broadcast_to(values[..., :1], shape)
                case 4:
                    values = np.where(values > 1, np.float32(np.inf), values)
                case 5:
                    return values.tolist()
        return values

    def common(self) -> dict[str, Any]:
        threads = [None, 1, 2, 3, 5, 10**5, *([0, -3, 2**40, 2**70, 1.5] if self.absurd else [])]
        return {"threads": threads[self.rng.integers(len(threads))]}

    def map(self, channels: int | None = None, most: int = 12) -> np.ndarray:
        rng = self.rng
        return self.array(
            int(rng.integers(0, 4)),
            int(rng.integers(1, most + 1)),
            int(rng.integers(1, 2 * most + 1)),
            int(rng.choice([1, 2, 3, 5, 8, 16, 17, 24, 33])) if channels is None else channels,
        )


def convolution(case: Case) -> None:
    rng = case.rng
    x = case.map()
    out = int(rng.choice([1, 2, 4, 5, 16, 24, 40]))
    kernel = [int(rng.integers(1, 6)), int(rng.integers(1, 6))]
    channels = np.shape(x)[-1] if np.ndim(x) else 1
    weight = case.array(out, *kernel, channels)
    bias = case.array(out) if rng.random() < 0.7 else None
    options: dict[str, Any] = {"stride": case.pair(1, 3), "padding": case.padding(4)}
    algorithm = "auto" if rng.random() < 0.7 else "direct"
    transposed = bool(rng.integers(2))
    if transposed:
        options["output_padding"] = case.pair(0, 2)
        op, definition = kernels.conv_transpose2d, reference.conv_transpose2d
    else:
        options["dilation"] = case.pair(1, 3)
        op, definition = kernels.conv2d, reference.conv2d

    def bound(isa: str) -> np.ndarray:
        b = None if bias is None else np.abs(bias)
        magnitude = definition(np.abs(x), np.abs(weight), b, **options)
        length = kernel[0] * kernel[1] * channels
        result = tolerance.gemm(magnitude, length, isa)
        if algorithm == "auto" and channels >= 16 and out >= 16 and magnitude.size:
            result = np.maximum(result, tolerance.winograd(magnitude, length))
        return result

    compare(
        case,
        lambda common: op(x, weight, bias, algorithm=algorithm, **options, **common),
        lambda: definition(x, weight, bias, **options),
        bound,
        lambda: convolution_floats(np.shape(x), weight, transposed, **options),
    )


def convolution_floats(
    shape: tuple[int, ...],
    weight: np.ndarray,
    transposed: bool,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    output_padding: Any = 0,
) -> tuple[int, int]:
    """Of the result, and of the largest thing that the definition makes."""
    sizes = []
    padded = []
    for axis in range(2):
        size, kernel = shape[1 + axis], weight.shape[1 + axis]
        s, d = reference.both(stride)[axis], reference.both(dilation)[axis]
        pads = sum(reference.sides(padding)[axis])
        if transposed:
            full = (size - 1) * s + kernel + reference.both(output_padding)[axis]
            sizes.append(full - pads)
            padded.append(full)
        else:
            sizes.append((size + pads - (kernel - 1) * d - 1) // s + 1)
            padded.append(size + pads)
    if min(sizes) < 1:
        raise ValueError("no output")
    images = max(shape[0], 1)
    result = images * sizes[0] * sizes[1] * len(weight)
    return result, images * padded[0] * padded[1] * max(shape[3], len(weight))


def max_pool(case: Case) -> None:
    x = case.map()
    kernel = case.pair(1, 4)
    options = {
        "stride": None if case.rng.random() < 0.3 else case.pair(1, 4),
        "padding": case.padding(1),
        "ceil_mode": bool(case.rng.integers(2)),
    }

    def floats() -> tuple[int, int]:
        result = np.size(x)
        for axis, (front, back) in enumerate(reference.sides(options["padding"])):
            k = reference.both(kernel)[axis]
            stride = k if options["stride"] is None else reference.both(options["stride"])[axis]
            span = x.shape[1 + axis] + front + back - k
            outputs = (-(-span // stride) if options["ceil_mode"] else span // stride) + 1
            if outputs < 1 or max(front, back) >= k:
                raise ValueError("no output")
            result = -(-result // x.shape[1 + axis]) * outputs
        return result, result

    compare(
        case,
        lambda common: kernels.max_pool2d(x, kernel, **options, **common),
        lambda: reference.max_pool2d(x, kernel, **options),
        lambda isa: 0.0,
        floats,
    )


def upsample(case: Case) -> None:
    x = case.map(most=6)
    by_scale = bool(case.rng.integers(2))
    value = case.pair(1, 4 if by_scale else 20)

    def size() -> tuple[int, int]:
        height, width = reference.both(value)
        return (x.shape[1] * height, x.shape[2] * width) if by_scale else (height, width)

    def floats() -> tuple[int, int]:
        if min(size()) < 1:
            raise ValueError("no output")
        result = max(x.shape[0], 1) * size()[0] * size()[1] * x.shape[3]
        return result, result

    compare(
        case,
        lambda common: kernels.upsample_bilinear2d(
            x, **{"scale" if by_scale else "size": value}, **common
        ),
        lambda: reference.upsample_bilinear2d(x, size()),
        lambda isa: tolerance.roundings(16, float(np.abs(x).max(initial=0))),
        floats,
    )


def plain(case: Case) -> None:
    """Ops without numbers, or with one."""
    rng = case.rng
    x = case.map(most=8)
    channels = np.shape(x)[-1] if np.ndim(x) else 1
    parameters = [case.array(channels) for _ in range(4)]
    slope = float(rng.choice([0.0, 0.2, -1.5, 3.0]))
    largest = float(np.abs(np.asarray(x, np.float64)).max(initial=1))
    calls: dict[str, tuple[Callable[..., Any], Callable[[], Any], float]] = {
        "relu": (kernels.relu, lambda: reference.relu(x), 0),
        "leaky_relu": (
            lambda x, **k: kernels.leaky_relu(x, slope, **k),
            lambda: reference.leaky_relu(x, slope),
            1 + abs(slope),
        ),
        "tanh": (kernels.tanh, lambda: np.tanh(x.astype(np.float64)), 4),
        "softmax": (kernels.softmax, lambda: reference.softmax(x), 16),
        "argmax": (kernels.argmax, lambda: reference.argmax(x), 0),
        "global_avg_pool2d": (kernels.global_avg_pool2d, lambda: reference.global_avg_pool2d(x), 2),
        "instance_norm": (
            lambda x, **k: kernels.instance_norm(x, *parameters[:2], eps=0.1, **k),
            lambda: reference.instance_norm(x, *parameters[:2], eps=0.1),
            200,
        ),
        "batch_norm": (
            lambda x, **k: kernels.batch_norm(x, *parameters[:3], np.abs(parameters[3]), **k),
            lambda: reference.batch_norm(x, *parameters[:3], np.abs(parameters[3])),
            10000,
        ),
    }
    op, definition, units = calls[str(rng.choice(list(calls)))]
    compare(
        case,
        lambda common: op(x, **common),
        definition,
        lambda isa: tolerance.roundings(units, largest),
        lambda: (np.size(x), np.size(x)),
    )


def linear(case: Case) -> None:
    rng = case.rng
    x = case.array(int(rng.integers(0, 20)), width := int(rng.choice([1, 7, 64, 300])))
    weight = case.array(int(rng.choice([1, 3, 16, 40])), width)
    compare(
        case,
        lambda common: kernels.linear(x, weight, **common),
        lambda: reference.linear(x, weight),
        lambda isa: tolerance.gemm(np.abs(x) @ np.abs(weight).T, width, isa),
        lambda: (np.size(x), np.size(x)),
    )


def compare(
    case: Case,
    call: Callable[[dict[str, Any]], Any],
    definition: Callable[[], Any],
    bound: Callable[[str], Any],
    floats: Callable[[], tuple[int, int]],
) -> None:
    """The op's result against the definition's; `floats`: of the result, of the definition."""
    isas = _native.available_isas()
    isa = os.environ["FACEGEN_ISA"] = isas[case.rng.integers(len(isas))]
    common = case.common()
    try:
        result_floats, made_floats = floats()
    except Exception:
        result_floats = made_floats = -1  # there is no result
    if MOST_FLOATS < result_floats < NO_MEMORY:
        return
    try:
        got = call(common)
    except REFUSALS:
        if not case.absurd and result_floats >= 0:
            raise
        return
    if not case.absurd and result_floats < 0:
        raise AssertionError(f"a result of shape {got.shape}, where there is none")
    if made_floats < 0 or made_floats > 4 * MOST_FLOATS:
        return
    with np.errstate(all="ignore"):
        want = definition()
        if case.absurd and not np.isfinite(want).all():
            assert got.shape == want.shape
            return
        tolerance.assert_within(got, want, bound(isa))


OPS = [convolution, convolution, convolution, max_pool, upsample, plain, linear]


def one_round(rng: Rng) -> None:
    for _ in range(20):
        OPS[rng.integers(len(OPS))](Case(rng))
