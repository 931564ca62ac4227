"""Norms, with statistics that are given or those of each image."""

from __future__ import annotations

from facegen.kernels.one_layer import Array, check, map_shape, run
from facegen.nn import BatchNorm, InstanceNorm


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
    x : (n, h, w, c), float32
    gamma, beta, mean, var : (c,), float32
    eps : float

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> x = np.array([1, 3], np.float32).reshape(2, 1, 1, 1)
    >>> one = np.ones(1, np.float32)
    >>> batch_norm(x, gamma=2 * one, beta=one, mean=one, var=4 * one, eps=0).ravel()
    array([1., 3.], dtype=float32)
    """
    channels = map_shape(x).channels
    weights = {"gamma": gamma, "beta": beta, "mean": mean, "var": var}
    _check_channels(weights, channels)
    return run(BatchNorm(channels, eps), x, weights, threads, device)


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
    x : (n, h, w, c), float32
    gamma, beta : (c,), float32
    eps : float
        Added to the biased variance.

    Returns
    -------
    (n, h, w, c), float32

    Raises
    ------
    TypeError, ValueError, DeviceError
        As every op: `facegen.kernels` says when.

    Examples
    --------
    >>> x = np.array([1, 3], np.float32).reshape(1, 1, 2, 1)
    >>> one = np.ones(1, np.float32)
    >>> instance_norm(x, gamma=one, beta=one, eps=0).ravel()
    array([0., 2.], dtype=float32)
    """
    channels = map_shape(x).channels
    weights = {"gamma": gamma, "beta": beta}
    _check_channels(weights, channels)
    return run(InstanceNorm(channels, eps), x, weights, threads, device)


def _check_channels(parameters: dict[str, Array], channels: int) -> None:
    for name, value in parameters.items():
        check(value, name)
        if value.shape != (channels,):
            raise ValueError(f"{name} must be (c,) with c = {channels}, not {value.shape}")
