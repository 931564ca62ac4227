"""A program made ready on a device, fed with batches of any size."""

from __future__ import annotations

from numbers import Integral
from time import perf_counter
from typing import Any

import numpy as np

from facegen import _native, processors
from facegen.engine.batch import LAYOUTS, Form, shape_in
from facegen.engine.device import CPU
from facegen.engine.devices import PRECISIONS, engine_of, parse_device
from facegen.engine.foreign import locate, values_of
from facegen.engine.gpu_arrays import GpuCalls
from facegen.engine.host_arrays import run_on_host
from facegen.engine.memory import check_memory
from facegen.errors import DeviceError
from facegen.nn.graph import Graph
from facegen.nn.program import Program

# A run holds the results of so many chunks at a time: one is computed, two wait, one is written.
HELD = 4


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
        "float32": the accuracy of float32, by whatever arithmetic is fastest (on GPUs sums of
        bfloat16 products, on processors with AMX sums of products of 8-bit digits;
        ``docs/accuracy.md`` has the measured errors). "strict": plain float32 multiply-adds, as
        many as the definition has, or, on a GPU, the algorithm that the program names. One product
        of operands rounded to a shorter format: "bfloat16" on processors with AMX, "tf32" and
        "float16" on GPUs.
    max_batch
        Most images computed at once; larger batches are cut. None leaves it to the device. The
        results do not depend on it.

    Attributes
    ----------
    ready_seconds
        What it took to make the program ready: to pack the weights and, for GPUs, to upload them.

    Raises
    ------
    TypeError
        `program` is none.
    ValueError
        `threads` or `max_batch` is no whole number, or below 1.
    DeviceError
        For a device, an instruction set (``FACEGEN_ISA``) or a precision that is not to be had.
    DeviceFailure
        A kind of DeviceError: a GPU that fails or has no memory for even one image, also when
        called.
    OutOfMemory
        One image with the maps between the layers takes more than the machine has; when called,
        the results do.

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
        if not isinstance(program, Program):
            found = type(program).__name__
            hint = ": lower it with its weights first" if isinstance(program, Graph) else ""
            raise TypeError(f"Runner takes a Program, not a {found}{hint}")
        for name, value in (("threads", threads), ("max_batch", max_batch)):
            if value is not None:
                _check_count(name, value)
        if precision not in PRECISIONS:
            raise DeviceError(
                f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}"
            )
        self.program = program
        self.precision = precision
        self.max_batch = max_batch
        self._requested = (device, threads)
        begin = perf_counter()
        chosen = parse_device(device)
        between = 4 * program.arena_floats if chosen.kind == CPU else 0  # a GPU's has its own
        check_memory(self._item_bytes + between, f"one image of {program.name}")
        some = min(threads or processors.count(), _native.most_threads())
        self._engine = engine_of(chosen)(program, chosen, some, precision, max_batch)
        self.ready_seconds = perf_counter() - begin
        self._gpu_calls = GpuCalls(self._engine, program)

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
    def batch(self) -> int:
        """Items that a call should have at least, where there are as many."""
        return self._engine.batch

    @property
    def chunk(self) -> int:
        """How many items to read, prepare and compute at a time, where there are many.

        The program and the kind of device alone decide, so that a run that is resumed finds the
        same chunks.
        """
        return self._engine.chunk(self._item_bytes)

    @property
    def _item_bytes(self) -> int:
        """What comes in and goes out for one image."""
        views = (*self.program.inputs, *self.program.outputs)
        return 4 * sum(v.height * v.width * v.channels for v in views)

    def warm_up(self, count: int | None, *, pixels: bool = False, as_pixels: bool = False) -> None:
        """Do what first calls do beside computing, for a run over `count` items in chunks.

        On a GPU that is memory on both sides, kernels loaded, graphs recorded; on the CPU nothing.

        Parameters
        ----------
        count
            None where it is not known.
        pixels, as_pixels
            As for the calls that will come.
        """
        if self._engine.device == CPU:
            return
        chunk = self.chunk
        count = HELD * chunk if count is None else count
        taken, given = (
            np.dtype(np.uint8 if as_bytes else np.float32) for as_bytes in (pixels, as_pixels)
        )

        def results(items: int) -> list[np.ndarray]:
            shapes = [shape_in("NHWC", items, view) for view in self.program.outputs]
            return [self._engine.empty(shape, given) for shape in shapes]

        for items, calls in ((chunk, count // chunk), (count % chunk, 1)):
            if not items or not calls:
                continue
            ins = [np.zeros(shape_in("NHWC", items, v), taken) for v in self.program.inputs]
            # Large results come from a pool, which pins memory only for what was asked for before.
            held = [results(items) for _ in range(min(calls, HELD) + 1)]
            for _ in range(2):  # what comes again is recorded
                self._engine.run(ins, held[-1], items)

    def __call__(
        self,
        *inputs: Any,
        out: Any = None,
        layout: str = "NHWC",
        pixels: bool = False,
        as_pixels: bool = False,
    ) -> Any:
        """Run the program on a batch.

        Parameters
        ----------
        *inputs
            One array (n, height, width, channels) for each of the program's inputs; where that is
            one pixel high and wide, (n, channels) will do. NumPy's, or those of any library that
            speaks DLPack (PyTorch, CuPy, JAX) or has ``__cuda_array_interface__``: on the host, or
            all of them on the GPU that the program runs on, where they stay. Any strides; float32
            that lies as (n, height, width, channels) is read in place. Any numbers on the host; on
            the GPU float32, float16, bfloat16 or uint8.
        out
            Arrays for the results, one for each output (one alone need not be in a tuple); what is
            written where the inputs are costs no memory. None: new ones.
        layout
            "NHWC", or "NCHW" for arrays (n, channels, height, width), in and out. PyTorch's tensors
            of memory format channels_last are read in place so.
        pixels
            uint8 stand for -1 to 1, not for 0 to 255: ``v / 255 * 2 - 1``. On a GPU they travel as
            bytes.
        as_pixels
            Results are uint8: ``(int)((x + 1) / 2 * 255)``, clamped (`facegen.numbers.pixels`).

        Returns
        -------
        array or tuple of arrays
            `out`, if given. Else arrays of the kind of the first input, in the same place: float32,
            or the input's own float16 or bfloat16; for libraries of which only DLPack is known, a
            `facegen._cuda.DeviceArray`, which they take by it. A tuple where the program has
            several outputs.

        Raises
        ------
        ValueError
            For another number of arrays, another shape or unequal n; for arrays on another device,
            in several places or that need a gradient; for an `out` that is read-only or overlaps an
            input.
        OutOfMemory
            The results take more than the machine has.

        Notes
        -----
        On a GPU all work is enqueued on the stream that is current in the inputs' library (others:
        the legacy default stream): it is done behind what made the inputs and before what reads the
        results on that stream, and nothing waits for it. The same buffers again are one launch of
        a CUDA graph.
        """
        program = self.program
        if len(inputs) != len(program.inputs):
            taken = len(program.inputs)
            arrays = "array" if taken == 1 else "arrays"
            raise ValueError(f"{program.name} takes {taken} {arrays}, not {len(inputs)}")
        if not isinstance(layout, str) or layout not in LAYOUTS:
            raise ValueError(f"layout must be {' or '.join(LAYOUTS)}, not {layout!r}")
        outs = () if out is None else tuple(out) if isinstance(out, tuple | list) else (out,)
        if out is not None and len(outs) != len(program.outputs):
            raise ValueError(f"out: expected {len(program.outputs)} of arrays, found {len(outs)}")
        form = Form(layout, pixels, as_pixels)
        library, found = locate((*inputs, *outs))
        results: list[Any]
        if library is None:
            results = [*run_on_host(self._engine, program, inputs, outs, form)]
        elif found:
            results = self._gpu_calls.enqueue(library, inputs, outs, found, form)
        else:
            ins, into = values_of(library, inputs), [library.shared(y) for y in outs]
            values = run_on_host(self._engine, program, ins, into, form)
            results = [library.from_numpy(y, inputs[0]) for y in values]
        if outs:
            return out
        return results[0] if len(results) == 1 else tuple(results)

    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]:
        """Measure each step by itself, on the first GPU, on whatever its memory has.

        Parameters
        ----------
        images
            How many the times are for. More than are computed at once are measured as many as are,
            and the times scaled.
        repeats
            Launches of each step, over which its time is the mean.

        Returns
        -------
        list of (str, float)
            Each step's kernel, and its milliseconds on the GPU alone; in their order.

        Raises
        ------
        DeviceError
            The program runs on a CPU, whose steps are not measured.
        ValueError
            `images` or `repeats` is no whole number, or below 1.
        """
        _check_count("images", images)
        _check_count("repeats", repeats)
        return self._engine.time_steps(images, repeats)

    def __reduce__(self) -> tuple[Any, ...]:
        return Runner, (self.program, *self._requested, self.precision, self.max_batch)


def _check_count(name: str, value: Any) -> None:
    if not isinstance(value, Integral) or int(value) < 1:
        raise ValueError(f"{name} must be a whole number, at least 1, not {value!r}")
