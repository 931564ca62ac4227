"""Maps of another height and width."""

from __future__ import annotations

from facegen.kernels.one_layer import Array, run
from facegen.nn import Upsample
from facegen.nn.window import IntOrPair


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
    x : (n, h, w, c), float32
    size : int or (height, width)
        Of the output; or give `scale`.
    scale : int or (vertical, horizontal)

    Returns
    -------
    (n, height, width, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> x = np.array([0, 4], np.float32).reshape(1, 1, 2, 1)
    >>> upsample_bilinear2d(x, (1, 4)).ravel()
    array([0., 1., 3., 4.], dtype=float32)
    """
    return run(Upsample(size, scale), x, {}, threads, device)
