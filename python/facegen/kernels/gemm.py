"""Sums of products: convolutions and the linear layer."""

from __future__ import annotations

from numbers import Integral

from facegen.kernels.one_layer import Array, check, map_shape, run
from facegen.nn import Conv2d, ConvTranspose2d, Linear
from facegen.nn.window import IntOrPair, Padding


def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
    algorithm: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Convolution: ``y[o] = bias + sum_r weight[r] x[o * stride + r * dilation - padding]``.

    Parameters
    ----------
    x : (n, h, w, in), float32
    weight : (out, kernel h, kernel w, in / groups), float32
    bias : (out,), float32, optional
    stride, dilation : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Zeros around the input.
    groups : int
        That channels in and out are divided into; each output reads the inputs of its own alone.
    algorithm : str
        "auto" takes what is fastest for the layer, "direct" what is fastest of those that multiply
        as the definition does; "naive", "im2col", "winograd", "fft" and "strassen" are computed so
        or refused. :mod:`facegen.kernels.algorithms` describes them. A GPU has all but the last
        two, each by plain float32 multiply-adds, in precision "strict".

    Returns
    -------
    (n, h', w', out), float32
        h' = (h + top + bottom - (kernel h - 1) * dilation - 1) // stride + 1, and w' alike.

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Notes
    -----
    Groups of few channels are joined into one product, with zeros for the weights between them. So
    a NaN or an infinity in one group reaches the outputs of those it is joined with; a depthwise
    convolution's channels are never joined.

    Examples
    --------
    >>> x = np.arange(9, dtype=np.float32).reshape(1, 3, 3, 1)
    >>> weight = np.ones((1, 2, 2, 1), np.float32)
    >>> conv2d(x, weight)[0, :, :, 0]
    array([[ 8., 12.],
           [20., 24.]], dtype=float32)
    """
    channels = map_shape(x).channels
    kernel, weights = _kernel(weight, bias, channels, groups)
    has_bias = bias is not None
    layer = Conv2d(channels, len(weight), kernel, stride, padding, dilation, has_bias, groups)
    return run(layer, x, weights, threads, device, algorithm)


def conv_transpose2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: IntOrPair = 1,
    padding: Padding = 0,
    output_padding: IntOrPair = 0,
    groups: int = 1,
    algorithm: str = "auto",
    threads: int | None = None,
    device: str = "cpu",
) -> Array:
    """Transposed convolution: input i adds ``weight[r] x[i]`` to output ``i*stride + r - pad``.

    Parameters
    ----------
    x : (n, h, w, in), float32
    weight : (out, kernel h, kernel w, in / groups), float32
        The same order as :func:`conv2d`'s; PyTorch's is (in, out, kernel h, kernel w).
    bias : (out,), float32, optional
    stride : int or (vertical, horizontal)
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Outputs cut off at the borders.
    output_padding : int or (vertical, horizontal)
        Outputs added at the bottom and at the right.
    groups : int
        That channels in and out are divided into; each output reads the inputs of its own alone.
    algorithm : str
        "auto" takes what is fastest for the layer, "direct" what is fastest of those that multiply
        as the definition does; "naive", "im2col", "winograd", "fft" and "strassen" are computed so
        or refused. :mod:`facegen.kernels.algorithms` describes them. A GPU has all but the last
        two, each by plain float32 multiply-adds, in precision "strict".

    Returns
    -------
    (n, h', w', out), float32
        h' = (h - 1) * stride + kernel h - top - bottom + output_padding, and w' alike.

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Notes
    -----
    Groups of few channels are joined into one product, with zeros for the weights between them. So
    a NaN or an infinity in one group reaches the outputs of those it is joined with.

    Examples
    --------
    >>> x = np.array([1, 2], np.float32).reshape(1, 1, 2, 1)
    >>> weight = np.array([1, 10, 100], np.float32).reshape(1, 1, 3, 1)
    >>> conv_transpose2d(x, weight, stride=(1, 2))[0, :, :, 0]
    array([[  1.,  10., 102.,  20., 200.]], dtype=float32)
    """
    channels = map_shape(x).channels
    kernel, weights = _kernel(weight, bias, channels, groups)
    has_bias = bias is not None
    layer = ConvTranspose2d(
        channels, len(weight), kernel, stride, padding, output_padding, has_bias, groups
    )
    return run(layer, x, weights, threads, device, algorithm)


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
    x : (n, in), float32
    weight : (out, in), float32
    bias : (out,), float32, optional

    Returns
    -------
    (n, out), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> linear(np.ones((1, 3), np.float32), np.array([[1, 2, 3], [0, 0, 1]], np.float32))
    array([[6., 1.]], dtype=float32)
    """
    check(x, "x")
    if x.ndim != 2 or x.shape[1] == 0:
        raise ValueError(f"x must be (n, in), not {x.shape}")
    check(weight, "weight")
    if weight.ndim != 2 or len(weight) == 0 or weight.shape[1] != x.shape[1]:
        raise ValueError(f"weight must be (out, in) with in = {x.shape[1]}, not {weight.shape}")
    weights = {"weight": weight, **_bias(bias, len(weight))}
    layer = Linear(x.shape[1], len(weight), bias is not None)
    y = run(layer, x[:, None, None, :], weights, threads, device)
    return y[:, 0, 0, :]


def _kernel(
    weight: Array, bias: Array | None, channels: int, groups: int
) -> tuple[tuple[int, int], dict[str, Array]]:
    """Kernel size and the parameters of a convolution over `channels` channels."""
    check(weight, "weight")
    if not (isinstance(groups, Integral) and groups >= 1):
        raise ValueError(f"groups must be a whole number, at least 1, not {groups!r}")
    if channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    channels //= groups
    if weight.ndim != 4 or 0 in weight.shape or weight.shape[3] != channels:
        raise ValueError(
            f"weight must be (out, kh, kw, in) with in = {channels}, not {weight.shape}"
        )
    _, height, width, _ = weight.shape
    return (height, width), {"weight": weight, **_bias(bias, len(weight))}


def _bias(bias: Array | None, out: int) -> dict[str, Array]:
    if bias is None:
        return {}
    check(bias, "bias")
    if bias.shape != (out,):
        raise ValueError(f"bias must be (out,) with out = {out}, not {bias.shape}")
    return {"bias": bias}
