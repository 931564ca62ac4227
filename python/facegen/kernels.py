"""The ops one by one on NumPy arrays: the engine's own kernels, for use and for tests.

Maps are float32 in NHWC order: (images, height, width, channels), any number of images, also 0.
An array that is not C-contiguous is copied first. Accuracy is the engine's "float32" (see
:class:`facegen.engine.Runner`). Each call lowers a network of one layer and
packs its weights; to run the same layers again and again, build a :class:`facegen.nn.Graph` and
keep its :class:`facegen.engine.Runner`.

Every op takes these keywords:

threads : int, optional
    Threads to use; by default all processors that this process may use.
device : str
    "cpu", or another device as :mod:`facegen.engine.devices` names it.

and raises TypeError for an array of another type than float32, ValueError for shapes and numbers
that do not fit together, :class:`facegen.errors.DeviceError` for a device that is not there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.nn import (
    ArgMax,
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Graph,
    InstanceNorm,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Tanh,
    Upsample,
    lower,
)
from facegen.nn.window import IntOrPair, Padding

Array = NDArray[np.float32]


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    algorithm: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Convolution: ``y[o] = bias + sum_r weight[r] x[o * stride + r * dilation - padding]``.

    Parameters
    ----------
    x : (n, h, w, in)
    weight : (out, kernel h, kernel w, in)
    bias : (out,), optional
    stride, dilation : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Zeros around the input.
    algorithm : "auto" or "direct"
        "direct" multiplies as the definition does; "auto" may use fewer multiplications.

    Returns
    -------
    (n, h', w', out) with h' = (h + top + bottom - (kernel h - 1) * dilation - 1) // stride + 1

    Examples
    --------
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    >>> weight = np.ones((1, 2, 2, 1), np.float32)
    >>> conv2d(x, weight)[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """
    channels = _map(x).channels
    kernel, weights = _kernel(weight, bias, channels)
    layer = Conv2d(channels, len(weight), kernel, stride, padding, dilation, bias is not None)
    return _run(layer, x, weights, threads, device, algorithm)


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    output_padding: IntOrPair = 0,
    algorithm: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Transposed convolution: input i adds ``weight[r] x[i]`` to output ``i*stride + r - pad``.

    Parameters
    ----------
    x : (n, h, w, in)
    weight : (out, kernel h, kernel w, in)
        The same order as :func:`conv2d`'s; PyTorch's is (in, out, kernel h, kernel w).
    bias : (out,), optional
    stride : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Outputs cut off at the borders.
    output_padding : int or (vertical, horizontal)
        Outputs added at the bottom and at the right.
    algorithm : "auto" or "direct"
        "direct" multiplies as the definition does; "auto" may use fewer multiplications.

    Returns
    -------
    (n, h', w', out) with h' = (h - 1) * stride + kernel h - top - bottom + output_padding

    Examples
    --------
    >>> x = np.array([1, 2], np.float32).reshape(1, 1, 2, 1)
    >>> weight = np.array([1, 10, 100], np.float32).reshape(1, 1, 3, 1)
    >>> conv_transpose2d(x, weight, stride=(1, 2))[0, :, :, 0]
    array([[  1.,  10., 102.,  20., 200.]], dtype=float32)
    """
    channels = _map(x).channels
    kernel, weights = _kernel(weight, bias, channels)
    has_bias = bias is not None
    layer = ConvTranspose2d(
        channels, len(weight), kernel, stride, padding, output_padding, has_bias
    )
    return _run(layer, x, weights, threads, device, algorithm)


def linear(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Linear layer: ``x @ weight.T + bias``.

    Parameters
    ----------
    x : (n, in)
    weight : (out, in)
    bias : (out,), optional

    Returns
    -------
    (n, out)

    Examples
    --------
    >>> linear(np.ones((1, 3), np.float32), np.array([[1, 2, 3], [0, 0, 1]], np.float32))
    array([[6., 1.]], dtype=float32)
    """
    _check(x, "x")
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"x must be (n, in), not {x.shape}")
    _check(weight, "weight")
    if weight.ndim != 2 or len(weight) == 0 or weight.shape[1] != x.shape[1]:
        raise ValueError(f"weight must be (out, in) with in = {x.shape[1]}, not {weight.shape}")
    weights = {"weight": weight, **_bias(bias, len(weight))}
    layer = Linear(x.shape[1], len(weight), bias is not None)
    y = _run(layer, x[:, None, None, :], weights, threads, device)
    return y[:, 0, 0, :]


def batch_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Batch norm with given statistics: ``gamma * (x - mean) / sqrt(var + eps) + beta``.

    Parameters
    ----------
    x : (n, h, w, c)
    gamma, beta, mean, var : (c,)
    eps : float

    Returns
    -------
    (n, h, w, c)

    Examples
    --------
    >>> x = np.array([1, 3], np.float32).reshape(2, 1, 1, 1)
    >>> one = np.ones(1, np.float32)
    >>> batch_norm(x, gamma=2 * one, beta=one, mean=one, var=4 * one, eps=0).ravel()
    array([1., 3.], dtype=float32)
    """
    channels = _map(x).channels
    weights = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    _check_channels(weights, channels)
    return _run(BatchNorm(channels, eps), x, weights, threads, device)


def instance_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    *,
    eps: float = 1e-5,
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Per-image norm: :func:`batch_norm` with the statistics of each image over its own pixels.

    Parameters
    ----------
    x : (n, h, w, c)
    gamma, beta : (c,)
    eps : float
        Added to the biased variance.

    Returns
    -------
    (n, h, w, c)

    Examples
    --------
    >>> x = np.array([1, 3], np.float32).reshape(1, 1, 2, 1)
    >>> one = np.ones(1, np.float32)
    >>> instance_norm(x, gamma=one, beta=one, eps=0).ravel()
    array([0., 2.], dtype=float32)
    """
    channels = _map(x).channels
    weights = {"gamma": gamma, "beta": beta}
    _check_channels(weights, channels)
    return _run(InstanceNorm(channels, eps), x, weights, threads, device)


def max_pool2d(
    x: Array,
    kernel: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: Padding = 0,
    ceil_mode: bool = False,
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Maximum over windows; positions outside the input do not take part.

    Parameters
    ----------
    x : (n, h, w, c)
    kernel : int or (vertical, horizontal)
    stride : int or (vertical, horizontal)
        The kernel, by default.
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Smaller than the kernel.
    ceil_mode : bool
        Also count a last, partial window that starts inside the input or the left padding.

    Returns
    -------
    (n, h', w', c)

    Examples
    --------
    >>> x = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)
    >>> max_pool2d(x, (1, 2)).ravel()
    array([1., 3.], dtype=float32)
    >>> max_pool2d(x, (1, 2), ceil_mode=True).ravel()
    array([1., 3., 4.], dtype=float32)
    """
    return _run(MaxPool2d(kernel, stride, padding, ceil_mode), x, {}, threads, device)


def global_avg_pool2d(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Mean over the pixels of each channel, summed in a fixed order.

    Parameters
    ----------
    x : (n, h, w, c)

    Returns
    -------
    (n, 1, 1, c)

    Examples
    --------
    >>> global_avg_pool2d(np.array([1, 2, 6], np.float32).reshape(1, 3, 1, 1)).ravel()
    array([3.], dtype=float32)
    """
    return _run(GlobalAvgPool2d(), x, {}, threads, device)


def argmax(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Index of each pixel's largest channel, as float32.

    The lowest of equal ones; the first NaN counts as the largest, as in NumPy.

    Parameters
    ----------
    x : (n, h, w, c)

    Returns
    -------
    (n, h, w, 1)

    Examples
    --------
    >>> argmax(np.array([0, 7, -1, 7], np.float32).reshape(1, 1, 1, 4)).ravel()
    array([1.], dtype=float32)
    """
    return _run(ArgMax(), x, {}, threads, device)


def softmax(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Softmax over the channels of each pixel.

    Parameters
    ----------
    x : (n, h, w, c)

    Returns
    -------
    (n, h, w, c)

    Examples
    --------
    >>> softmax(np.zeros((1, 1, 1, 4), np.float32)).ravel()
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    return _run(Softmax(), x, {}, threads, device)


def upsample_bilinear2d(
    x: Array,
    size: IntOrPair | None = None,
    *,
    scale: IntOrPair | None = None,
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Bilinear interpolation with half-pixel centres, clamped at the edges.

    Parameters
    ----------
    x : (n, h, w, c)
    size : int or (height, width)
        Of the output; or give `scale`.
    scale : int or (vertical, horizontal)

    Returns
    -------
    (n, height, width, c)

    Examples
    --------
    >>> x = np.array([0, 4], np.float32).reshape(1, 1, 2, 1)
    >>> upsample_bilinear2d(x, (1, 4)).ravel()
    array([0., 1., 3., 4.], dtype=float32)
    """
    return _run(Upsample(size, scale), x, {}, threads, device)


def relu(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """``max(x, 0)``, (n, h, w, c) to (n, h, w, c).

    Examples
    --------
    >>> relu(np.array([[[[-1, 2]]]], np.float32)).ravel()
    array([0., 2.], dtype=float32)
    """
    return _run(ReLU(), x, {}, threads, device)


def leaky_relu(x: Array, slope: float, *, threads: int | None = None, device: str = "cpu") -> Array:
    """``x`` where positive, ``slope * x`` elsewhere, (n, h, w, c) to (n, h, w, c).

    Examples
    --------
    >>> leaky_relu(np.array([[[[-1, 2]]]], np.float32), 0.5).ravel()
    array([-0.5,  2. ], dtype=float32)
    """
    return _run(LeakyReLU(slope), x, {}, threads, device)


def tanh(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Hyperbolic tangent, (n, h, w, c) to (n, h, w, c).

    Examples
    --------
    >>> tanh(np.array([[[[0, 100]]]], np.float32)).ravel()
    array([0., 1.], dtype=float32)
    """
    return _run(Tanh(), x, {}, threads, device)


def _run(
    layer: Layer,
    x: Array,
    weights: dict[str, Array],
    threads: int | None,
    device: str,
    algorithm: str = "auto",
) -> Array:
    """A network of one layer, lowered and run."""
    graph = Graph("facegen.kernels")
    name = type(layer).__name__
    graph.output(graph.add(name, layer, graph.input("x", _map(x))))
    named = {f"{name}.{parameter}": value for parameter, value in weights.items()}
    program = lower(graph, named, algorithm)
    return Runner(program, device, threads)(x)


def _check(array: Any, name: str) -> None:
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype != np.float32:
        raise TypeError(f"{name} must be float32, not {array.dtype}")


def _map(x: Array) -> Shape:
    """The shape of one image of `x`."""
    _check(x, "x")
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"x must be (n, h, w, c) with h, w, c at least 1, not {x.shape}")
    return Shape(*x.shape[1:])


def _kernel(
    weight: Array, bias: Array | None, channels: int
) -> tuple[tuple[int, int], dict[str, Array]]:
    """Kernel size and the parameters of a convolution over `channels` channels."""
    _check(weight, "weight")
    if weight.ndim != 4 or 0 in weight.shape or weight.shape[3] != channels:
        raise ValueError(
            f"weight must be (out, kh, kw, in) with in = {channels}, not {weight.shape}"
        )
    _, height, width, _ = weight.shape
    return (height, width), {"weight": weight, **_bias(bias, len(weight))}


def _bias(bias: Array | None, out: int) -> dict[str, Array]:
    if bias is None:
        return {}
    _check(bias, "bias")
    if bias.shape != (out,):
        raise ValueError(f"bias must be (out,) with out = {out}, not {bias.shape}")
    return {"bias": bias}


def _check_channels(parameters: dict[str, Array], channels: int) -> None:
    for name, value in parameters.items():
        _check(value, name)
        if value.shape != (channels,):
            raise ValueError(f"{name} must be (c,) with c = {channels}, not {value.shape}")
