"""What a command that computes begins with, before it imports what computes."""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress

from facegen.errors import FacegenError
from facegen.launchers import find_place

# NumPy's BLAS starts a thread a processor, and NumPy waits for all of them; no command needs them.
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"


def begin(device: str, blas_threads: int = 1) -> None:
    """Start what takes its time by itself, and NumPy without what is not needed of it.

    Its BLAS has `blas_threads`, if it is not loaded yet and nothing else names their number.

    The environment is as before afterwards, so that what a command starts decides for itself. Where
    the GPU's driver starts beside, which reads it at any moment, it is changed before that alone,
    and NumPy's BLAS stays as it is here for child processes too.
    """
    limits = "numpy" not in sys.modules and _BLAS_THREADS not in os.environ
    if limits:
        os.environ[_BLAS_THREADS] = str(blas_threads)
    woken = wake_gpu(device)
    import numpy  # noqa: F401  (the import is what is wanted)

    if limits and woken is None:
        del os.environ[_BLAS_THREADS]


def wake_gpu(device: str) -> threading.Thread | None:
    """Begin to use the GPU that ``--device`` may mean, in a thread, while Python imports the rest.

    The driver and a context take tenths of a second. Nothing is decided here: what is wrong with
    the text or with the GPU is found by `facegen.engine.parse_device`, as without a thread. Of
    several GPUs it is the first. Ranks choose theirs later.

    Returns
    -------
    threading.Thread or None
        What it happens in; None where no GPU is meant, or there may be none.
    """
    named = re.fullmatch(r"(?:auto|all|cuda(?::(\d{1,4})(?:,\d{1,4})*)?)", device)
    if named is None or os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return None
    try:
        if find_place(os.environ).size > 1:
            return None
        from facegen import _native

        if _native.WHY_NO_CUDA:
            return None
        from facegen import _cuda
    except (FacegenError, ImportError):
        return None
    index = int(named[1]) if named[1] else None
    # No daemon: the process must not end while the driver starts in it.
    thread = threading.Thread(target=_cuda.open_context, args=[index], name="facegen-gpu")
    with suppress(RuntimeError):  # the system starts no more threads: then without
        thread.start()
        return thread
    return None
