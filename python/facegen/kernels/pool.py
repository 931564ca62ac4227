"""Windows and whole maps to one value a channel."""

from __future__ import annotations

from facegen.kernels.one_layer import Array, run
from facegen.nn import GlobalAvgPool2d, MaxPool2d
from facegen.nn.window import IntOrPair, Padding


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
    x : (n, h, w, c), float32
    kernel : int or (vertical, horizontal)
    stride : int or (vertical, horizontal)
        The kernel, by default.
    padding : int, (vertical, horizontal) or ((top, bottom), (left, right))
        Smaller than the kernel.
    ceil_mode : bool
        Also count a last, partial window that starts inside the input or the left padding.

    Returns
    -------
    (n, h', w', c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> x = np.arange(5, dtype=np.float32).reshape(1, 1, 5, 1)
    >>> max_pool2d(x, (1, 2)).ravel()
    array([1., 3.], dtype=float32)
    >>> max_pool2d(x, (1, 2), ceil_mode=True).ravel()
    array([1., 3., 4.], dtype=float32)
    """
    return run(MaxPool2d(kernel, stride, padding, ceil_mode), x, {}, threads, device)


def global_avg_pool2d(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Mean over the pixels of each channel, summed in a fixed order.

    Parameters
    ----------
    x : (n, h, w, c), float32

    Returns
    -------
    (n, 1, 1, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> global_avg_pool2d(np.array([1, 2, 6], np.float32).reshape(1, 3, 1, 1)).ravel()
    array([3.], dtype=float32)
    """
    return run(GlobalAvgPool2d(), x, {}, threads, device)
