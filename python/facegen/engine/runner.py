"""A program made ready on a device, fed with batches of any size."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np

from facegen import _native, processors
from facegen.engine.devices import PRECISIONS, engine_of, parse_device
from facegen.errors import DeviceError
from facegen.nn.program import Program, View

# Of a chunk's inputs and outputs. Small, so that little is lost when a run is killed, ranks share a
# short list evenly and the chunks between two threads are no burden; yet 84 faces, or 1,320 digits.
CHUNK_BYTES = 4 << 20


class Runner:
    """Runs a program on batches of images.

    Parameters
    ----------
    program
        With its constants.
    device
        "auto", "cpu", "cuda", "cuda:0,1" or "all".
    threads
        Threads to compute (or, for GPUs, to copy) with; None means every processor this process
        may use. More than the machine has processors (or 16, where there are fewer) are as many.
    precision
        "float32": the accuracy of float32, by whatever arithmetic is fastest; on GPUs and on
        processors with AMX that is sums of bfloat16 products (``docs/accuracy.md`` has the
        measured errors). "strict": plain float32 multiply-adds, as many as the definition has.
        GPUs alone: "tf32" and "float16", one product of operands rounded to that format.
    max_batch
        Most images computed at once; larger batches are cut. None leaves it to the device. The
        results do not depend on it.

    Raises
    ------
    ValueError
        `threads` or `max_batch` is no whole number, or below 1.
    DeviceError
        For a device, an instruction set (``FACEGEN_ISA``) or a precision that is not to be had.
    DeviceFailure
        A kind of DeviceError: a GPU that fails or has no memory for even one image, also when
        called.

    Notes
    -----
    May be called from several threads at once; releases the GIL while it computes. Pickling keeps
    the program and the options, and makes the program ready anew where it is unpickled.
    """

    def __init__(
        self,
        program: Program,
        device: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        max_batch: int | None = None,
    ) -> None:
        for name, value in (("threads", threads), ("max_batch", max_batch)):
            if value is not None and not (isinstance(value, Integral) and value >= 1):
                raise ValueError(f"{name} must be a whole number, at least 1, not {value!r}")
        if precision not in PRECISIONS:
            raise DeviceError(
                f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}"
            )
        self.program = program
        self.precision = precision
        self.max_batch = max_batch
        self._requested = (device, threads)
        chosen = parse_device(device)
        some = min(threads or processors.count(), _native.most_threads())
        self._engine = engine_of(chosen)(program, chosen, some, precision, max_batch)

    @property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:0"."""
        return self._engine.device

    @property
    def threads(self) -> int:
        """Threads on the host."""
        return self._engine.threads

    @property
    def isa(self) -> str:
        """The instruction set in use, for example "avx512", or a GPU's architecture."""
        return self._engine.isa

    @property
    def chunk(self) -> int:
        """How many items to read, prepare and compute at a time, where there are many.

        Whole batches of the device, as many as fit `CHUNK_BYTES`, and one at least. The program and
        the kind of device alone decide, so that a run that is resumed finds the same chunks.
        """
        views = (*self.program.inputs, *self.program.outputs)
        item_bytes = 4 * sum(v.height * v.width * v.channels for v in views)
        batch = self._engine.batch
        return batch * max(1, CHUNK_BYTES // (batch * item_bytes))

    def __call__(self, *inputs: np.ndarray) -> Any:
        """Run the program on a batch.

        Parameters
        ----------
        *inputs
            One array (n, height, width, channels), float32, for each of the program's inputs.

        Returns
        -------
        np.ndarray or tuple of np.ndarray
            (n, height, width, channels), float32; a tuple where the program has several outputs.

        Raises
        ------
        ValueError
            For another number of arrays, another shape, or unequal n.
        """
        views = self.program.inputs
        if len(inputs) != len(views):
            raise ValueError(f"{self.program.name} takes {len(views)} arrays, not {len(inputs)}")
        arrays = [_checked(x, view) for x, view in zip(inputs, views, strict=True)]
        count = len(arrays[0]) if arrays else 0
        if any(len(x) != count for x in arrays):
            raise ValueError(f"batches of unequal size: {[len(x) for x in arrays]}")
        outputs = [
            self._engine.empty((count, v.height, v.width, v.channels))
            for v in self.program.outputs
        ]
        self._engine.run(arrays, outputs, count)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def __reduce__(self) -> tuple[Any, ...]:
        return Runner, (self.program, *self._requested, self.precision, self.max_batch)


def _checked(x: np.ndarray, view: View) -> np.ndarray:
    expected = (view.height, view.width, view.channels)
    if x.ndim != 4 or x.shape[1:] != expected:
        raise ValueError(f"expected an array of shape (n, {', '.join(map(str, expected))}), "
                         f"found {x.shape}")
    return np.require(x, np.float32, ["C", "A", "E"])  # "A": a view may begin at any byte
