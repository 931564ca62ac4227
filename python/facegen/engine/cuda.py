"""A program on one or more GPUs."""

from __future__ import annotations

import math
import os
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen import _native
from facegen.engine.device import CallerArray, Device, Kind
from facegen.errors import DeviceError
from facegen.nn.fit import fit
from facegen.nn.program import Program

if TYPE_CHECKING:
    from facegen._cuda import Call, CudaExecutable

# Smaller chunks keep no GPU busy.
MIN_CHUNK = 128
# So many images are worth a call, of a network however deep.
BATCH = 64
# The inputs and outputs of a run's chunk take so much as float32: a call is a pipeline of its own,
# whose first copy in and last copy out nothing hides, so it should be long. Nothing is gained
# beyond so many images.
CHUNK_BYTES, CHUNK_IMAGES = 512 << 20, 2048
# For each GPU, so many threads copy between the caller's arrays and pinned memory. Beside an H200,
# 2 copy 7 GB/s, 4 12, 8 21, 16 27; results in pinned memory arrive at 54 GB/s, the bus's own rate.
COPY_THREADS = 16
# Results from this size on come in pinned memory; smaller ones are copied in tens of microseconds.
PINNED_BYTES = 1 << 20


def cuda_module() -> ModuleType:
    """``facegen._cuda``. Importing it touches no driver.

    Raises
    ------
    DeviceError
        This build has none, or its file is gone.
    """
    if _native.WHY_NO_CUDA:
        raise DeviceError(f"built without CUDA: {_native.WHY_NO_CUDA}")
    try:
        from facegen import _cuda
    except ImportError as error:
        raise DeviceError(f"the CUDA engine cannot be loaded, install again: {error}") from None
    return _cuda


def usable_gpus() -> tuple[int, ...]:
    """Indices of the GPUs that this build can use."""
    gpus = cuda_module().devices()
    return tuple(gpu["index"] for gpu in gpus if gpu["capability"][0] >= 8)


def why_no_cuda() -> str:
    """Why no GPU can be used, in one line; empty where one can."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return "CUDA_VISIBLE_DEVICES hides every GPU"
    try:
        return str(cuda_module().why_unusable())
    except DeviceError as error:
        return str(error)


def memory_of(index: int) -> int | None:
    """Bytes of a GPU's memory; None where there is no such GPU."""
    try:
        gpus = cuda_module().devices()
    except DeviceError:
        return None
    return next((gpu["memory_bytes"] for gpu in gpus if gpu["index"] == index), None)


def _describe(index: int) -> str:
    (gpu,) = (gpu for gpu in cuda_module().devices() if gpu["index"] == index)
    major, minor = gpu["capability"]
    return f"{gpu['name']} (sm_{major}{minor}, {gpu['memory_bytes'] / 2**30:.0f} GiB)"


class CudaEngine:
    """Runs batches in chunks, drawn by all GPUs from one queue; results lie in order.

    Attributes
    ----------
    batch
        Images that a call should have at least.
    """

    def __init__(
        self,
        program: Program,
        device: Device,
        threads: int,
        precision: str,
        max_batch: int | None,
    ) -> None:
        if precision == "bfloat16":
            raise DeviceError(
                f"precision {precision!r} needs the CPU; "
                "GPUs have float32, strict, tf32 and float16"
            )
        self._device = device
        self.threads = threads
        self.batch = min(BATCH, max_batch or BATCH)
        kernels = os.environ.get("FACEGEN_CUDA_KERNELS") or "auto"
        limit = os.environ.get("FACEGEN_CUDA_MEMORY_LIMIT") or "0"
        if not limit.isdecimal():
            raise DeviceError(f"FACEGEN_CUDA_MEMORY_LIMIT must be a number of bytes, not {limit}")
        self._cuda = cuda_module()
        capabilities: dict[int, tuple[int, int]] = {
            gpu["index"]: gpu["capability"] for gpu in self._cuda.devices()
        }
        fitted: dict[tuple[int, int], Program] = {}  # GPUs of one kind run one program
        for capability in {capabilities[index] for index in device.indices}:
            try:
                target = _native.FitCuda(*capability, precision, kernels)
            except ValueError as error:
                raise DeviceError(f"FACEGEN_CUDA_KERNELS: {error}") from None
            fitted[capability] = fit(program, target)
        self._executables: list[CudaExecutable] = [
            self._cuda.CudaExecutable(
                fitted[capabilities[index]], index, precision, kernels, max_batch or 0, int(limit)
            )
            for index in device.indices
        ]
        from concurrent.futures import ThreadPoolExecutor

        # The caller's thread runs the first GPU. These live on: a thread's first CUDA call is slow.
        self._pool = ThreadPoolExecutor(max(1, len(device.indices) - 1))

    @property
    def device(self) -> str:
        return str(self._device)

    def chunk(self, item_bytes: int) -> int:
        """Items of a run's chunk: whole batches, one at least."""
        batches = min(CHUNK_BYTES // (self.batch * item_bytes), CHUNK_IMAGES // self.batch)
        return self.batch * max(1, batches)

    @property
    def isa(self) -> str:
        """The GPUs' architecture, for example "sm_90"."""
        return self._executables[0].architecture

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Uninitialised memory for an output: pinned where it is large."""
        if dtype.itemsize * math.prod(shape) >= PINNED_BYTES:
            pinned = self._cuda.empty_pinned(shape, self._device.indices[0], dtype)
            if pinned is not None:
                return np.asarray(pinned)
        return np.empty(shape, dtype)

    def require_gpu(self, device: int) -> None:
        """Raise ValueError for a GPU that is none of this engine's, DeviceFailure in a child."""
        self._cuda.require_not_forked()
        if device not in self._device.indices:
            raise ValueError(f"the arrays are on cuda:{device}, and this computes on {self.device}")

    def prepare(
        self, device: int, inputs: list[CallerArray], outputs: list[CallerArray], count: int
    ) -> Call:
        """A call with a batch of arrays in the memory of one of its GPUs."""
        executable = self._executables[self._device.indices.index(device)]
        return executable.prepare(inputs, outputs, count)

    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]:
        """Each step's kernel, and its milliseconds for so many images, on the first GPU."""
        executable = self._executables[0]
        chunk = min(images, executable.max_images)
        steps = executable.time_steps(chunk, repeats)
        return [(kernel, ms * images / chunk) for kernel, ms in steps]

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray], count: int) -> None:
        """Compute outputs, float32 or pixels, of inputs that are either, all on the host."""
        from concurrent.futures import wait

        if count == 0:
            return
        self._cuda.require_not_forked()  # the pool's threads are not in a child
        gpus = len(self._executables)
        queue = self._cuda.ChunkQueue(count, gpus, min(MIN_CHUNK, -(-count // gpus)))
        threads = max(1, min(COPY_THREADS, self.threads // gpus))

        def run_on(executable: CudaExecutable) -> None:
            try:
                executable.run(inputs, outputs, queue, threads)
            except BaseException:
                queue.stop()  # the others need not finish what nobody will see
                raise

        others = [self._pool.submit(run_on, executable) for executable in self._executables[1:]]
        try:
            run_on(self._executables[0])
        finally:
            wait(others)  # they write into the outputs
        for done in others:
            done.result()


CUDA = Kind(
    name="cuda",
    engine=CudaEngine,
    why_unusable=why_no_cuda,
    usable=usable_gpus,
    describe=_describe,
)
