"""Products of matrices by named algorithms, on the CPU."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from facegen import _native, processors
from facegen.engine.cpu import choose_isa
from facegen.engine.memory import check_memory
from facegen.kernels.one_layer import Array, check

MATMUL_ALGORITHMS = ("auto", "naive", "blocked", "strassen")


def matmul(a: Array, b: Array, *, algorithm: str = "auto", threads: int | None = None) -> Array:
    """``a @ b``.

    Parameters
    ----------
    a : (m, k), float32
    b : (k, n), float32
    algorithm : "auto", "naive", "blocked" or "strassen"
        The definition's three loops; the same products blocked for caches and registers; Strassen's
        7 products of halves instead of 8 (Strassen 1969), once or twice by the size. "auto" is
        "blocked": measurements do not agree yet that Strassen's algorithm is faster, for any size.
    threads : int, optional
        As every op's. The bits of the result do not depend on it.

    Returns
    -------
    (m, n), float32

    Raises
    ------
    TypeError
        A matrix is not of float32.
    ValueError
        Shapes do not fit together, there is no such algorithm, or `threads` is no whole number or
        below 1.
    OutOfMemory
        The product takes more memory than the machine has.

    Notes
    -----
    Strassen's algorithm is less exact: the error of an element is relative to the largest rows of
    `a` and columns of `b` (docs/learn/algorithms.md).

    Examples
    --------
    >>> a = np.array([[1, 2], [3, 4]], np.float32)
    >>> matmul(a, a)
    array([[ 7., 10.],
           [15., 22.]], dtype=float32)
    """
    for name, matrix in (("a", a), ("b", b)):
        check(matrix, name)
        if matrix.ndim != 2:
            raise ValueError(f"{name} must be a matrix, not of shape {matrix.shape}")
    if a.shape[1] != b.shape[0]:
        raise ValueError(f"a of shape {a.shape} has not as many columns as b, {b.shape}, has rows")
    if algorithm not in MATMUL_ALGORITHMS:
        names = ", ".join(f'"{name}"' for name in MATMUL_ALGORITHMS)
        raise ValueError(f"algorithm must be one of {names}, not {algorithm!r}")
    if threads is not None and not (isinstance(threads, Integral) and threads >= 1):
        raise ValueError(f"threads must be a whole number, at least 1, not {threads!r}")
    packed = 4 * b.size  # 49 / 16 of two levels, and what fills up vectors
    check_memory(4 * (a.shape[0] * b.shape[1] + packed), f"the product of {a.shape} and {b.shape}")
    out = np.zeros((a.shape[0], b.shape[1]), np.float32)
    if algorithm == "auto":
        algorithm = "blocked"
    if a.size and b.size:
        some = threads or processors.count()
        first, second = (np.ascontiguousarray(x, np.float32) for x in (a, b))
        _native.matmul(first, second, out, algorithm, choose_isa("float32"), some)
    return out
