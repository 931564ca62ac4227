"""Naive definitions in float64: what every op and every graph must compute.

Written from the definitions alone, without the package's geometry (windows, phases, views). Loops
run over the taps of a window only, so that small cases are quick. Maps are (n, h, w, c).
"""

from __future__ import annotations

from collections.abc import Mapping

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
    Softmax,
    Tanh,
    Upsample,
)


def both(value):
    """An int or a pair as (vertical, horizontal)."""
    return (value, value) if isinstance(value, int) else tuple(value)


def sides(padding):
    """Any padding as ((top, bottom), (left, right))."""
    return tuple(both(side) for side in both(padding))


def conv2d(x, weight, bias=None, *, stride=1, padding=0, dilation=1):
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


def conv_transpose2d(x, weight, bias=None, *, stride=1, padding=0, output_padding=0):
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


def linear(x, weight, bias=None):
    y = x.astype(np.float64) @ weight.astype(np.float64).T
    return y if bias is None else y + bias.astype(np.float64)


def batch_norm(x, gamma, beta, mean, var, *, eps=1e-5):
    gamma, beta, mean, var = (a.astype(np.float64) for a in (gamma, beta, mean, var))
    return gamma * (x.astype(np.float64) - mean) / np.sqrt(var + eps) + beta


def instance_norm(x, gamma, beta, *, eps=1e-5):
    x = x.astype(np.float64)
    mean = x.mean(axis=(1, 2), keepdims=True)
    var = ((x - mean) ** 2).mean(axis=(1, 2), keepdims=True)
    return gamma.astype(np.float64) * (x - mean) / np.sqrt(var + eps) + beta.astype(np.float64)


def max_pool2d(x, kernel, *, stride=None, padding=0, ceil_mode=False):
    (kh, kw), (sy, sx) = both(kernel), both(kernel if stride is None else stride)
    (top, bottom), (left, right) = sides(padding)

    def starts(size, k, s, front, back):
        """First positions of all windows, in the input's coordinates."""
        result = [-front]
        while True:
            start = result[-1] + s
            inside = start + k <= size + back
            # PyTorch's ceil mode: a last, partial window that starts inside or in the left padding
            partial = ceil_mode and start < size and result[-1] + k < size + back
            if not (inside or partial):
                return result
            result.append(start)

    ys = starts(x.shape[1], kh, sy, top, bottom)
    xs = starts(x.shape[2], kw, sx, left, right)
    y = np.empty((x.shape[0], len(ys), len(xs), x.shape[3]))
    for i, y0 in enumerate(ys):
        for j, x0 in enumerate(xs):
            window = x[:, max(y0, 0) : y0 + kh, max(x0, 0) : x0 + kw]
            y[:, i, j] = window.max(axis=(1, 2))
    return y


def softmax(x):
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def argmax(x):
    return x.argmax(axis=-1)[..., np.newaxis].astype(np.float64)


def global_avg_pool2d(x):
    return x.astype(np.float64).mean(axis=(1, 2), keepdims=True)


def upsample_bilinear2d(x, size):
    def axis(size_in, size_out):
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


def relu(x):
    return np.maximum(x.astype(np.float64), 0)


def leaky_relu(x, slope):
    x = x.astype(np.float64)
    return np.where(x > 0, x, slope * x)


def run_layer(layer, inputs, weights, name):
    """One layer of a graph on (n, h, w, c) maps."""
    x = inputs[0]
    parameters = {key: weights[f"{name}.{key}"] for key in layer.parameters()}
    match layer:
        case Conv2d():
            options = dict(stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
            return conv2d(x, **parameters, **options)
        case ConvTranspose2d():
            options = dict(stride=layer.stride, padding=layer.padding)
            return conv_transpose2d(x, **parameters, **options, output_padding=layer.output_padding)
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
            if layer.size is not None:
                return upsample_bilinear2d(x, both(layer.size))
            vertical, horizontal = both(layer.scale)
            return upsample_bilinear2d(x, (x.shape[1] * vertical, x.shape[2] * horizontal))
        case ReLU():
            return relu(x)
        case LeakyReLU():
            return leaky_relu(x, layer.slope)
        case Tanh():
            return np.tanh(x)
        case Softmax():
            return softmax(x)
        case ArgMax():
            return argmax(x)
        case GlobalAvgPool2d():
            return global_avg_pool2d(x)
        case Concat():
            return np.concatenate(inputs, axis=-1)
        case Add():
            return inputs[0] + inputs[1]
        case Affine():
            return layer.scale * x + layer.shift
        case Reshape():
            return x.reshape(len(x), *layer.shape)
    raise AssertionError(f"no definition of {layer}")


def run_graph(
    graph: Graph, weights: Mapping[str, np.ndarray], *inputs: np.ndarray
) -> list[np.ndarray]:
    """All outputs of a graph, layer by layer in float64."""
    values: dict[str, np.ndarray] = {}
    given = iter(inputs)
    for node in graph.nodes:
        if node.layer is None:
            values[node.name] = next(given).astype(np.float64)
        else:
            reads = [values[name] for name in node.inputs]
            values[node.name] = run_layer(node.layer, reads, weights, node.name)
    return [values[tensor.name] for tensor in graph.outputs]


def random_weights(graph: Graph, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Float32 weights that keep values near 1: batch norms far from the identity included."""
    weights = {}
    for name, shape in graph.parameters.items():
        parameter = name.rsplit(".", 1)[1]
        if parameter == "weight":
            fan_in = int(np.prod(shape[1:]))
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        elif parameter in ("gamma", "var"):
            value = rng.uniform(0.5, 2, shape)
        else:
            value = rng.standard_normal(shape)
        weights[name] = value.astype(np.float32)
    return weights
