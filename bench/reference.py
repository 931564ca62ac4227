"""Naive definitions in float64: what every op and every graph must compute.

Contenders are verified against them before they are measured, and so is the package in its tests.
Written from the definitions alone, without the package's geometry (windows, phases, views). Loops
run over the taps of a window only, so that small cases are quick. Maps are (n, h, w, c).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.nn import (
    ELU,
    GELU,
    Abs,
    Add,
    Affine,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Clip,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DepthToSpace,
    Div,
    Exp,
    GlobalAvgPool2d,
    Graph,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    Log,
    LogSoftmax,
    Maximum,
    MaxPool2d,
    Minimum,
    Mish,
    Mul,
    Pad2d,
    PReLU,
    Reciprocal,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    SpaceToDepth,
    Sqrt,
    Sub,
    Tanh,
    Upsample,
)
from facegen.nn.activations import Activation
from facegen.nn.layer import Layer
from facegen.nn.layers import Combination

Array = NDArray[Any]
Doubles = NDArray[np.float64]
Sides = tuple[tuple[int, int], tuple[int, int]]

TOLERANCE = 1e-3  # two outputs agree where |a-b| or |a-b|/|b| is below it


def both(value: Any) -> tuple[Any, Any]:
    """An int or a pair as (vertical, horizontal)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def sides(padding: Any) -> Sides:
    """Any padding as ((top, bottom), (left, right))."""
    vertical, horizontal = both(padding)
    return both(vertical), both(horizontal)


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Doubles:
    if groups > 1:
        options = {"stride": stride, "padding": padding, "dilation": dilation}
        return _by_groups(conv2d, x, weight, bias, groups, **options)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    (sy, sx), (dy, dx) = both(stride), both(dilation)
    out, kh, kw, _ = weight.shape
    x = np.pad(x, ((0, 0), *sides(padding), (0, 0)))
    height = (x.shape[1] - (kh - 1) * dy - 1) // sy + 1
    width = (x.shape[2] - (kw - 1) * dx - 1) // sx + 1
    y = np.zeros((x.shape[0], height, width, out))
    for r in range(kh):
        for s in range(kw):
            rows = np.arange(height)[:, None] * sy + r * dy
            columns = np.arange(width)[None, :] * sx + s * dx
            y += x[:, rows, columns] @ weight[:, r, s].T
    return y if bias is None else y + bias.astype(np.float64)


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
) -> Doubles:
    if groups > 1:
        options = {"stride": stride, "padding": padding, "output_padding": output_padding}
        return _by_groups(conv_transpose2d, x, weight, bias, groups, **options)
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    (sy, sx), (ey, ex) = both(stride), both(output_padding)
    (top, bottom), (left, right) = sides(padding)
    n, h, w, _ = x.shape
    out, kh, kw, _ = weight.shape
    full = np.zeros((n, (h - 1) * sy + kh + ey, (w - 1) * sx + kw + ex, out))
    for r in range(kh):
        for s in range(kw):
            rows = np.arange(h)[:, None] * sy + r
            columns = np.arange(w)[None, :] * sx + s
            full[:, rows, columns] += x @ weight[:, r, s].T
    y = full[:, top : full.shape[1] - bottom, left : full.shape[2] - right]
    return y if bias is None else y + bias.astype(np.float64)


def _by_groups(
    convolution: Any, x: Array, weight: Array, bias: Array | None, groups: int, **options: Any
) -> Doubles:
    """Each group's outputs, of its own inputs, one after another."""
    xs, weights = np.split(x, groups, axis=-1), np.split(weight, groups)
    parts = [convolution(a, w, **options) for a, w in zip(xs, weights, strict=True)]
    y: Doubles = np.concatenate(parts, axis=-1)
    return y if bias is None else y + bias.astype(np.float64)


def linear(x: Array, weight: Array, bias: Array | None = None) -> Doubles:
    y = x.astype(np.float64) @ weight.astype(np.float64).T
    return y if bias is None else y + bias.astype(np.float64)


def group_norm(x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5) -> Doubles:
    n, h, w, c = x.shape
    grouped = x.astype(np.float64).reshape(n, h, w, groups, c // groups)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    var = ((grouped - mean) ** 2).mean(axis=(1, 2, 4), keepdims=True)
    normed = ((grouped - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma.astype(np.float64) * normed + beta.astype(np.float64)


def layer_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Doubles:
    x = x.astype(np.float64)
    mean = x.mean(axis=3, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=3, keepdims=True)
    return gamma.astype(np.float64) * (x - mean) / np.sqrt(var + eps) + beta.astype(np.float64)


def local_response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Doubles:
    x = x.astype(np.float64)
    sums = np.zeros_like(x)
    for c in range(x.shape[3]):
        around = x[..., max(c - (size - 1) // 2, 0) : c + size // 2 + 1]
        sums[..., c] = (around**2).sum(axis=3)
    return x / (k + alpha / size * sums) ** beta


def channel_shuffle(x: Array, groups: int) -> Array:
    n, h, w, c = x.shape
    return x.reshape(n, h, w, groups, c // groups).swapaxes(3, 4).reshape(x.shape)


def depth_to_space(x: Array, block: int, depth_first: bool) -> Array:
    n, h, w, c = x.shape
    out = c // block**2
    if depth_first:
        x = x.reshape(n, h, w, block, block, out).transpose(0, 1, 3, 2, 4, 5)
    else:
        x = x.reshape(n, h, w, out, block, block).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(n, h * block, w * block, out)


def space_to_depth(x: Array, block: int, depth_first: bool) -> Array:
    n, h, w, c = x.shape
    x = x.reshape(n, h // block, block, w // block, block, c)
    x = x.transpose((0, 1, 3, 2, 4, 5) if depth_first else (0, 1, 3, 5, 2, 4))
    return x.reshape(n, h // block, w // block, c * block**2)


def log_softmax(x: Array) -> Doubles:
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def batch_norm(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> Doubles:
    gamma, beta, mean, var = (a.astype(np.float64) for a in (gamma, beta, mean, var))
    return gamma * (x.astype(np.float64) - mean) / np.sqrt(var + eps) + beta


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Doubles:
    x = x.astype(np.float64)
    mean = x.mean(axis=(1, 2), keepdims=True)
    var = ((x - mean) ** 2).mean(axis=(1, 2), keepdims=True)
    return gamma.astype(np.float64) * (x - mean) / np.sqrt(var + eps) + beta.astype(np.float64)


def _window_starts(
    size: int, kernel: int, stride: int, front: int, back: int, ceil_mode: bool
) -> list[int]:
    """First positions of all windows of a pool, in the input's coordinates."""
    result = [-front]
    while True:
        start = result[-1] + stride
        inside = start + kernel <= size + back
        # PyTorch's ceil mode: a last, partial window that starts inside or in the left padding
        partial = ceil_mode and start < size and result[-1] + kernel < size + back
        if not (inside or partial):
            return result
        result.append(start)


def avg_pool2d(
    x: Array,
    kernel: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Doubles:
    (kh, kw), (sy, sx) = both(kernel), both(kernel if stride is None else stride)
    (top, bottom), (left, right) = sides(padding)
    _, h, w, _ = x.shape
    ys = _window_starts(h, kh, sy, top, bottom, ceil_mode)
    xs = _window_starts(w, kw, sx, left, right, ceil_mode)
    y = np.empty((x.shape[0], len(ys), len(xs), x.shape[3]))
    for i, y0 in enumerate(ys):
        for j, x0 in enumerate(xs):
            pixels = x[:, max(y0, 0) : y0 + kh, max(x0, 0) : x0 + kw].astype(np.float64)
            count = pixels.shape[1] * pixels.shape[2]
            if count_include_pad:
                count = (min(y0 + kh, h + bottom) - y0) * (min(x0 + kw, w + right) - x0)
            y[:, i, j] = pixels.sum(axis=(1, 2)) / count
    return y


def max_pool2d(
    x: Array, kernel: Any, *, stride: Any = None, padding: Any = 0, ceil_mode: bool = False
) -> Array:
    (kh, kw), (sy, sx) = both(kernel), both(kernel if stride is None else stride)
    (top, bottom), (left, right) = sides(padding)

    ys = _window_starts(x.shape[1], kh, sy, top, bottom, ceil_mode)
    xs = _window_starts(x.shape[2], kw, sx, left, right, ceil_mode)
    y = np.empty((x.shape[0], len(ys), len(xs), x.shape[3]))
    for i, y0 in enumerate(ys):
        for j, x0 in enumerate(xs):
            window = x[:, max(y0, 0) : y0 + kh, max(x0, 0) : x0 + kw]
            y[:, i, j] = window.max(axis=(1, 2))
    return y


def softmax(x: Array) -> Doubles:
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def argmax(x: Array) -> Doubles:
    return x.argmax(axis=-1)[..., np.newaxis].astype(np.float64)


def global_avg_pool2d(x: Array) -> Doubles:
    return x.astype(np.float64).mean(axis=(1, 2), keepdims=True)


def upsample_bilinear2d(x: Array, size: tuple[int, int]) -> Doubles:
    def axis(size_in: int, size_out: int) -> tuple[Array, Array, Array]:
        position = np.clip((np.arange(size_out) + 0.5) * size_in / size_out - 0.5, 0, size_in - 1)
        low = np.floor(position).astype(int)
        return low, np.minimum(low + 1, size_in - 1), position - low

    x = x.astype(np.float64)
    y0, y1, fy = axis(x.shape[1], size[0])
    x0, x1, fx = axis(x.shape[2], size[1])
    fy, fx = fy[:, None, None], fx[:, None]
    top = x[:, y0][:, :, x0] * (1 - fx) + x[:, y0][:, :, x1] * fx
    bottom = x[:, y1][:, :, x0] * (1 - fx) + x[:, y1][:, :, x1] * fx
    return top * (1 - fy) + bottom * fy


def upsample2d(x: Array, layer: Upsample) -> Doubles:
    """As ONNX's Resize defines it: a position of the input, and what lies around it."""
    x = x.astype(np.float64)
    sizes = (0, 0) if layer.size is None else both(layer.size)
    scales = (None, None) if layer.scale is None else both(layer.scale)
    for axis, size, scale in zip((1, 2), sizes, scales, strict=True):
        before = x.shape[axis]
        if scale is not None:
            size = int(np.floor(np.float32(before) * np.float32(scale)))
        ratio = before / size if scale is None else 1 / scale
        default = "asymmetric" if layer.mode == "nearest" else "half_pixel"
        at = np.arange(size, dtype=np.float64)
        match layer.coordinates or default:
            case "half_pixel":
                at = (at + 0.5) * ratio - 0.5
            case "pytorch_half_pixel":
                at = (at + 0.5) * ratio - 0.5 if size > 1 else at
            case "align_corners":
                at = at * (before - 1) / max(size - 1, 1)
            case "asymmetric":
                at = at * ratio
        x = _interpolate(x, axis, at, layer)
    return x


def _interpolate(x: Doubles, axis: int, at: Doubles, layer: Upsample) -> Doubles:
    """Values of `x` at positions on an axis, those outside repeating its ends."""
    last = x.shape[axis] - 1
    a = -0.75
    weights: dict[str, Any] = {
        "linear": lambda d: np.maximum(1 - d, 0),
        "nearest": lambda d: np.where(d < 0.5, 1.0, 0.0),
        "cubic": lambda d: np.where(
            d <= 1,
            (a + 2) * d**3 - (a + 3) * d**2 + 1,
            np.where(d < 2, a * (d**3 - 5 * d**2 + 8 * d - 4), 0.0),
        ),
    }
    weight = weights[layer.mode]
    if layer.mode == "nearest":
        exact = np.round(at, 9)  # 3 * (1 / 3) is 1
        roundings: dict[str, Any] = {
            "floor": np.floor,
            "ceil": np.ceil,
            "round_prefer_floor": lambda v: np.ceil(v - 0.5),
            "round_prefer_ceil": lambda v: np.floor(v + 0.5),
        }
        at = roundings[layer.rounding](exact)
    low = np.floor(at)
    y: Doubles = np.zeros(1)
    for offset in (-1, 0, 1, 2):
        neighbour = np.clip(low + offset, 0, last).astype(int)
        shape = [1, 1, 1, 1]
        shape[axis] = -1
        y = y + np.take(x, neighbour, axis) * weight(np.abs(at - low - offset)).reshape(shape)
    return y


def relu(x: Array) -> Doubles:
    return np.maximum(x.astype(np.float64), 0)


def leaky_relu(x: Array, slope: float) -> Doubles:
    x = x.astype(np.float64)
    return np.where(x > 0, x, slope * x)


def prelu(x: Array, slope: Array) -> Doubles:
    x = x.astype(np.float64)
    return np.where(x > 0, x, slope.astype(np.float64) * x)


def sigmoid(x: Array) -> Doubles:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def softplus(x: Array) -> Doubles:
    return np.logaddexp(0, x.astype(np.float64))


erf = np.vectorize(math.erf, otypes=[np.float64])


def activation(layer: Activation, x: Array) -> Doubles:
    """An activation without parameters."""
    x = x.astype(np.float64)
    match layer:
        case ReLU():
            return relu(x)
        case LeakyReLU():
            return leaky_relu(x, layer.slope)
        case Clip():
            return np.clip(x, layer.low, layer.high)
        case ELU():
            return layer.scale * np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0)))
        case Sigmoid():
            return sigmoid(x)
        case HardSwish():
            return x * np.clip(layer.alpha * x + layer.beta, 0, 1)
        case HardSigmoid():
            return np.clip(layer.alpha * x + layer.beta, 0, 1)
        case SiLU():
            return x * sigmoid(layer.alpha * x)
        case Tanh():
            return np.tanh(x)
        case GELU(tanh=True):
            return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        case GELU():
            return x / 2 * (1 + erf(x / np.sqrt(2)))
        case Mish():
            return x * np.tanh(softplus(x))
        case Softplus():
            return softplus(x)
        case Exp():
            return np.exp(x)
        case Log():
            return np.log(x)
        case Abs():
            return np.abs(x)
        case Sqrt():
            return np.sqrt(x)
        case Reciprocal():
            return 1 / x
    raise AssertionError(f"no definition of {layer}")


def combine(layer: Combination, a: Array, b: Array) -> Doubles:
    """Two maps, of which one may have one pixel or one channel."""
    operations = {
        Add: np.add,
        Sub: np.subtract,
        Mul: np.multiply,
        Div: np.divide,
        Maximum: np.maximum,
        Minimum: np.minimum,
    }
    y: Doubles = operations[type(layer)](a.astype(np.float64), b.astype(np.float64))
    return y


def run_layer(
    layer: Layer, inputs: Sequence[Array], weights: Mapping[str, Array], name: str
) -> Array:
    """One layer of a graph on (n, h, w, c) maps."""
    x = inputs[0]
    parameters = {key: weights[f"{name}.{key}"] for key in layer.parameters()}
    match layer:
        case Conv2d():
            stride, padding = layer.stride, layer.padding
            return conv2d(
                x,
                **parameters,
                stride=stride,
                padding=padding,
                dilation=layer.dilation,
                groups=layer.groups,
            )
        case ConvTranspose2d():
            stride, padding, extra = layer.stride, layer.padding, layer.output_padding
            return conv_transpose2d(
                x,
                **parameters,
                stride=stride,
                padding=padding,
                output_padding=extra,
                groups=layer.groups,
            )
        case Linear():
            return linear(x, **parameters)
        case BatchNorm():
            return batch_norm(x, **parameters, eps=layer.eps)
        case InstanceNorm():
            return instance_norm(x, **parameters, eps=layer.eps)
        case MaxPool2d():
            return max_pool2d(
                x,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil_mode=layer.ceil_mode,
            )
        case Upsample():
            return upsample2d(x, layer)
        case AvgPool2d():
            return avg_pool2d(
                x,
                layer.kernel,
                stride=layer.stride,
                padding=layer.padding,
                ceil_mode=layer.ceil_mode,
                count_include_pad=layer.count_include_pad,
            )
        case Pad2d():
            pads = ((0, 0), *sides(layer.padding), (0, 0))
            if layer.mode == "zeros":
                return np.pad(x, pads)
            return np.pad(x, pads, "edge" if layer.mode == "edge" else "reflect")
        case Slice():
            for axis, positions in ((1, layer.rows), (2, layer.columns)):
                if positions is not None:
                    first, count, step = positions
                    x = np.take(x, first + step * np.arange(count), axis)
            return x
        case PReLU():
            return prelu(x, **parameters)
        case Activation():
            return activation(layer, x)
        case GroupNorm():
            return group_norm(x, **parameters, groups=layer.groups, eps=layer.eps)
        case LayerNorm():
            return layer_norm(x, **parameters, eps=layer.eps)
        case LocalResponseNorm():
            numbers = {"alpha": layer.alpha, "beta": layer.beta, "k": layer.k}
            return local_response_norm(x, size=layer.size, **numbers)
        case ChannelShuffle():
            return channel_shuffle(x, layer.groups)
        case DepthToSpace():
            return depth_to_space(x, layer.block, layer.depth_first)
        case SpaceToDepth():
            return space_to_depth(x, layer.block, layer.depth_first)
        case Channels():
            return x[..., layer.first : layer.first + layer.count]
        case Softmax():
            return softmax(x)
        case LogSoftmax():
            return log_softmax(x)
        case ArgMax():
            return argmax(x)
        case GlobalAvgPool2d():
            return global_avg_pool2d(x)
        case Concat():
            return np.concatenate(inputs, axis=-1)
        case Combination():
            return combine(layer, *inputs)
        case Affine():
            return layer.scale * x + layer.shift
        case Reshape():
            return x.reshape(len(x), *layer.shape)
    raise AssertionError(f"no definition of {layer}")


def run_graph(graph: Graph, weights: Mapping[str, Array], *inputs: Array) -> list[Array]:
    """All outputs of a graph, layer by layer in float64."""
    values: dict[str, Array] = {}
    given = iter(inputs)
    for node in graph.nodes:
        if node.layer is None:
            values[node.name] = next(given).astype(np.float64)
        else:
            reads = [values[name] for name in node.inputs]
            values[node.name] = run_layer(node.layer, reads, weights, node.name)
    return [values[tensor.name] for tensor in graph.outputs]


def disagreement(a: Array, b: Array) -> str | None:
    """Why output `a` does not agree with the reference `b`, or None where it does."""
    if a.shape != b.shape:
        return f"shape {a.shape}, expected {b.shape}"
    difference = np.abs(a - b)
    agrees = (difference < TOLERANCE) | (difference < TOLERANCE * np.abs(b))
    if agrees.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~agrees)[0])
    return f"{a[place]:.6g} instead of {b[place]:.6g} at {place}, {np.sum(~agrees)} values differ"
