"""What each pixel becomes by itself."""

from __future__ import annotations

from facegen.kernels.one_layer import Array, run
from facegen.nn import ArgMax, LeakyReLU, ReLU, Softmax, Tanh


def relu(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """``max(x, 0)``.

    Parameters
    ----------
    x : (n, h, w, c), float32

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> relu(np.array([[[[-1, 2]]]], np.float32)).ravel()
    array([0., 2.], dtype=float32)
    """
    return run(ReLU(), x, {}, threads, device)


def leaky_relu(x: Array, slope: float, *, threads: int | None = None, device: str = "cpu") -> Array:
    """``x`` where positive, ``slope * x`` elsewhere.

    Parameters
    ----------
    x : (n, h, w, c), float32
    slope : float

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> leaky_relu(np.array([[[[-1, 2]]]], np.float32), 0.5).ravel()
    array([-0.5,  2. ], dtype=float32)
    """
    return run(LeakyReLU(slope), x, {}, threads, device)


def tanh(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Hyperbolic tangent.

    Parameters
    ----------
    x : (n, h, w, c), float32

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> tanh(np.array([[[[0, 100]]]], np.float32)).ravel()
    array([0., 1.], dtype=float32)
    """
    return run(Tanh(), x, {}, threads, device)


def softmax(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Softmax over the channels of each pixel.

    Parameters
    ----------
    x : (n, h, w, c), float32

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> softmax(np.zeros((1, 1, 1, 4), np.float32)).ravel()
    array([0.25, 0.25, 0.25, 0.25], dtype=float32)
    """
    return run(Softmax(), x, {}, threads, device)


def argmax(x: Array, *, threads: int | None = None, device: str = "cpu") -> Array:
    """Index of each pixel's largest channel, as float32.

    The lowest of equal ones; the first NaN counts as the largest, as in NumPy.

    Parameters
    ----------
    x : (n, h, w, c), float32

    Returns
    -------
    (n, h, w, 1), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> argmax(np.array([0, 7, -1, 7], np.float32).reshape(1, 1, 1, 4)).ravel()
    array([1.], dtype=float32)
    """
    return run(ArgMax(), x, {}, threads, device)
