"""The float64 answer that everything is verified against: NumPy, tap by tap, NHWC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
    Softmax,
    Tanh,
    Upsample,
)
from facegen.nn.layers import Layer
from facegen.nn.window import WindowAxis

TOLERANCE = 1e-3  # two outputs agree where |a-b| or |a-b|/|b| is below it


def reference(
    graph: Graph, weights: Mapping[str, np.ndarray], inputs: Sequence[np.ndarray]
) -> list[np.ndarray]:
    """The graph's outputs, (n, h, w, c) float64, for inputs (n, h, w, c)."""
    values = {
        tensor.name: np.asarray(array, np.float64)
        for tensor, array in zip(graph.inputs, inputs, strict=True)
    }
    for node in graph.nodes:
        if node.layer is None:
            continue
        parameters = {
            name: np.asarray(weights[f"{node.name}.{name}"], np.float64)
            for name in node.layer.parameters()
        }
        arguments = [values[name] for name in node.inputs]
        values[node.name] = _apply(node.layer, arguments, parameters, node.shape)
    return [values[tensor.name] for tensor in graph.outputs]


def disagreement(a: np.ndarray, b: np.ndarray) -> str | None:
    """Why output `a` does not agree with the reference `b`, or None where it does."""
    if a.shape != b.shape:
        return f"shape {a.shape}, expected {b.shape}"
    difference = np.abs(a - b)
    agrees = (difference < TOLERANCE) | (difference < TOLERANCE * np.abs(b))
    if agrees.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~agrees)[0])
    return f"{a[place]:.6g} instead of {b[place]:.6g} at {place}, {np.sum(~agrees)} values differ"


def _apply(
    layer: Layer, inputs: list[np.ndarray], w: dict[str, np.ndarray], shape: Shape
) -> np.ndarray:
    x = inputs[0]
    match layer:
        case Conv2d():
            return _conv(layer, x, w["weight"], shape) + w.get("bias", 0.0)
        case ConvTranspose2d():
            return _conv_transpose(layer, x, w["weight"], shape) + w.get("bias", 0.0)
        case Linear():
            return x @ w["weight"].T + w.get("bias", 0.0)
        case BatchNorm():
            return w["gamma"] * (x - w["mean"]) / np.sqrt(w["var"] + layer.eps) + w["beta"]
        case InstanceNorm():
            mean, var = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
            return w["gamma"] * (x - mean) / np.sqrt(var + layer.eps) + w["beta"]
        case ReLU():
            return np.maximum(x, 0)
        case LeakyReLU():
            return np.where(x > 0, x, layer.slope * x)
        case Tanh():
            return np.tanh(x)
        case Softmax():
            e = np.exp(x - x.max(-1, keepdims=True))
            return e / e.sum(-1, keepdims=True)
        case MaxPool2d():
            return _max_pool(layer, x, shape)
        case GlobalAvgPool2d():
            return x.mean((1, 2), keepdims=True)
        case ArgMax():
            return x.argmax(-1)[..., None].astype(np.float64)
        case Concat():
            return np.concatenate(inputs, -1)
        case Add():
            return inputs[0] + inputs[1]
        case Upsample():
            return _resize(_resize(x, shape.height, 1), shape.width, 2)
        case Affine():
            return layer.scale * x + layer.shift
        case Reshape():
            return x.reshape(len(x), *shape)
    raise NotImplementedError(type(layer).__name__)


def _padded(axes: tuple[WindowAxis, WindowAxis], x: np.ndarray, shape: Shape, fill: float):
    """`x` with `fill` around it, as far as the windows of an output of `shape` reach."""
    pads = [
        (a.pad_front, max((out - 1) * a.stride + (a.kernel - 1) * a.dilation + 1 - size, 0))
        for a, size, out in zip(axes, x.shape[1:3], shape[:2], strict=True)
    ]
    return np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)


def _taps(axes: tuple[WindowAxis, WindowAxis], x: np.ndarray, shape: Shape):
    """For each tap (ty, tx) its index and the pixels of `x` that the outputs multiply with it."""
    y_axis, x_axis = axes
    for ty in range(y_axis.kernel):
        for tx in range(x_axis.kernel):
            top, left = ty * y_axis.dilation, tx * x_axis.dilation
            rows = slice(top, top + (shape.height - 1) * y_axis.stride + 1, y_axis.stride)
            columns = slice(left, left + (shape.width - 1) * x_axis.stride + 1, x_axis.stride)
            yield ty, tx, x[:, rows, columns]


def _conv(layer: Conv2d, x: np.ndarray, weight: np.ndarray, shape: Shape) -> np.ndarray:
    y = np.zeros((len(x), *shape))
    for ty, tx, pixels in _taps(layer.axes, _padded(layer.axes, x, shape, 0.0), shape):
        y += pixels @ weight[:, ty, tx].T
    return y


def _conv_transpose(
    layer: ConvTranspose2d, x: np.ndarray, weight: np.ndarray, shape: Shape
) -> np.ndarray:
    """Adds every input pixel's contribution to a map large enough for all, then cuts."""
    (top, left), (kh, kw) = (a.pad_front for a in layer.axes), layer.kernel_size
    sy, sx = (a.stride for a in layer.axes)
    n, h, w, _ = x.shape
    rows = max((h - 1) * sy + kh, top + shape.height)
    columns = max((w - 1) * sx + kw, left + shape.width)
    y = np.zeros((n, rows, columns, shape.channels))
    for ty in range(kh):
        for tx in range(kw):
            spread = y[:, ty : ty + (h - 1) * sy + 1 : sy, tx : tx + (w - 1) * sx + 1 : sx]
            spread += x @ weight[:, ty, tx].T
    return y[:, top : top + shape.height, left : left + shape.width]


def _max_pool(layer: MaxPool2d, x: np.ndarray, shape: Shape) -> np.ndarray:
    y = np.full((len(x), *shape), -np.inf)
    for _, _, pixels in _taps(layer.axes, _padded(layer.axes, x, shape, -np.inf), shape):
        np.maximum(y, pixels, out=y)
    return y


def _resize(x: np.ndarray, size: int, axis: int) -> np.ndarray:
    """Linear interpolation along one axis, half-pixel centres, edges clamped."""
    position = (np.arange(size) + 0.5) * x.shape[axis] / size - 0.5
    position = np.clip(position, 0, x.shape[axis] - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, x.shape[axis] - 1)
    share = (position - low).reshape(-1, *[1] * (x.ndim - 1 - axis))
    return x.take(low, axis) * (1 - share) + x.take(high, axis) * share
