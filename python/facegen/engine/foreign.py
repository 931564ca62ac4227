"""Arrays of other libraries: PyTorch, CuPy, JAX, and whoever else speaks DLPack.

What is asked of a library beyond DLPack is where it enqueues work at the moment (its current
stream), and memory for results, so that these are arrays of its own. Nothing is imported for it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np

from facegen import _native

ELEMENTS = ("float32", "float16", "bfloat16", "uint8")
_CPU, _CUDA, _CUDA_HOST, _CUDA_MANAGED = 1, 2, 3, 13  # DLPack's kinds of devices
_LEGACY_STREAM = 1  # the default one, by DLPack and by CUDA
# What libraries raise, each in its own way, for sparse, quantized, deleted or traced arrays.
_FOREIGN_ERRORS = (TypeError, RuntimeError, AttributeError, NotImplementedError)


class OnDevice(NamedTuple):
    """An array in a GPU's memory; `strides` count elements."""

    pointer: int
    device: int
    element: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    read_only: bool
    stream: int  # where work that makes it, or reads it, is enqueued
    owner: Any  # keeps the memory

    @property
    def memory(self) -> tuple[Any, ...]:
        """What of it a prepared call depends on: all but the stream and the owner."""
        return self[:6]

    @property
    def element_of_results(self) -> str:
        return self.element if "float" in self.element else "float32"


class Library:
    """What is asked of the library that an array is of; this one knows DLPack alone."""

    def find(self, x: Any) -> OnDevice | None:
        """Where an array is; None on the host.

        Raises
        ------
        ValueError, BufferError
            It cannot be shared; the message goes on from the array's name.
        """
        kind, index = x.__dlpack_device__()
        if kind in (_CPU, _CUDA_HOST):
            return None
        if kind not in (_CUDA, _CUDA_MANAGED):
            raise ValueError(f"is on a device of DLPack's kind {kind}; expected the CPU or CUDA")
        lent = _native.Borrowed(x.__dlpack__(stream=_LEGACY_STREAM))
        return OnDevice(
            lent.pointer, index, lent.dtype, lent.shape, lent.strides, lent.read_only,
            _LEGACY_STREAM, lent,
        )  # fmt: skip

    def to_numpy(self, x: Any) -> np.ndarray:
        """The values of an array on the host, in its own memory where that can be."""
        return np.from_dlpack(x)

    def shared(self, out: Any) -> np.ndarray:
        """An array on the host as NumPy's in the same memory.

        Raises
        ------
        ValueError
            It has none that NumPy can write.
        """
        try:
            return np.from_dlpack(out)
        except (ValueError, BufferError, *_FOREIGN_ERRORS) as error:
            raise ValueError(f"out cannot be written: {_line(error)}") from None

    def from_numpy(self, values: np.ndarray, like: Any) -> Any:
        """An array of the library with these values, on the host."""
        return values

    def empty(
        self,
        shape: tuple[int, ...],
        like: Any,
        found: OnDevice,
        channels_last: bool,
        uint8: bool,
    ) -> Any:
        """An uninitialised array on the device of `like`: of its floats, or of uint8.

        With `channels_last`, the second of four dimensions lies side by side in memory.
        """
        from facegen import _cuda

        element = "uint8" if uint8 else found.element_of_results
        return _cuda.DeviceArray(shape, element, found.device)

    def enqueued(self, results: Sequence[Any], sources: Sequence[OnDevice], stream: int) -> None:
        """Work that makes new results of sources is on the stream: they must stay until then.

        New results keep the sources; where the caller has his own `out`, the work is waited for.
        """
        from facegen import _cuda

        for result in results:
            result.record(stream, sources)
        if not results:
            _cuda.synchronize(sources[0].device, stream)


class _Ordered(Library):
    """Gives freed memory away only behind the work on its current stream, where ours is as well."""

    def enqueued(self, results: Sequence[Any], sources: Sequence[OnDevice], stream: int) -> None:
        pass


class _Torch(_Ordered):
    def __init__(self) -> None:
        self._elements: dict[Any, str] = {}
        self._stream: Callable[[int], int]

    def find(self, x: Any) -> OnDevice | None:
        if x.requires_grad:
            raise ValueError("needs a gradient, and none is computed here; pass its .detach()")
        if x.is_cpu:
            return None
        if not x.is_cuda:
            raise ValueError(f"is on {x.device}; expected the CPU or CUDA")
        if not self._elements:
            self._start()
        index = x.get_device()
        return OnDevice(
            x.data_ptr(), index, self._elements.get(x.dtype) or str(x.dtype), tuple(x.shape),
            x.stride(), False, self._stream(index), x,
        )  # fmt: skip

    def _start(self) -> None:
        """Ask what stays; a batch of one takes 50 us, and each question of PyTorch up to one."""
        torch = sys.modules["torch"]
        raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)
        self._stream = raw or (lambda index: torch.cuda.current_stream(index).cuda_stream)
        self._elements = {getattr(torch, name): name for name in ELEMENTS}

    def to_numpy(self, x: Any) -> np.ndarray:
        values: np.ndarray = (x.float() if x.dtype == sys.modules["torch"].bfloat16 else x).numpy()
        return values

    def from_numpy(self, values: np.ndarray, like: Any) -> Any:
        torch = sys.modules["torch"]
        result = torch.from_numpy(values)
        halves = like.dtype in (torch.float16, torch.bfloat16) and values.dtype.kind == "f"
        return result.to(like.dtype) if halves else result

    def empty(
        self,
        shape: tuple[int, ...],
        like: Any,
        found: OnDevice,
        channels_last: bool,
        uint8: bool,
    ) -> Any:
        torch = sys.modules["torch"]
        dtype = like.dtype if like.dtype.is_floating_point else torch.float32
        dtype = torch.uint8 if uint8 else dtype
        if not channels_last:
            return torch.empty(shape, dtype=dtype, device=like.device)
        form = torch.channels_last
        return torch.empty(shape, dtype=dtype, device=like.device, memory_format=form)


class _CuPy(_Ordered):
    def find(self, x: Any) -> OnDevice | None:
        size = x.dtype.itemsize
        stream = sys.modules["cupy"].cuda.get_current_stream().ptr
        strides = tuple(step // size for step in x.strides)
        return OnDevice(x.data.ptr, x.device.id, str(x.dtype), x.shape, strides, False, stream, x)

    def empty(
        self,
        shape: tuple[int, ...],
        like: Any,
        found: OnDevice,
        channels_last: bool,
        uint8: bool,
    ) -> Any:
        cupy = sys.modules["cupy"]
        dtype = np.uint8 if uint8 else like.dtype if like.dtype.kind == "f" else np.float32
        with cupy.cuda.Device(found.device):
            if not channels_last:
                return cupy.empty(shape, dtype)
            n, c, h, w = shape
            return cupy.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


class _Jax(Library):
    def to_numpy(self, x: Any) -> np.ndarray:
        return np.asarray(x, np.float32 if str(x.dtype) == "bfloat16" else None)

    def from_numpy(self, values: np.ndarray, like: Any) -> Any:
        halves = str(like.dtype) in ("float16", "bfloat16") and values.dtype.kind == "f"
        return sys.modules["jax"].numpy.asarray(values, dtype=like.dtype if halves else None)


class _Interface(Library):
    """Of those that have `__cuda_array_interface__` alone, such as Numba."""

    def find(self, x: Any) -> OnDevice | None:
        about = getattr(x, "__cuda_array_interface__", None)
        if about is None:  # results, which are ours
            return super().find(x)
        try:
            from facegen import _cuda
        except ImportError:
            raise ValueError("is on a GPU, and facegen was built without CUDA") from None
        dtype, shape = np.dtype(about["typestr"]), tuple(about["shape"])
        pointer, read_only = about["data"]
        if steps := about.get("strides"):
            strides = tuple(step // dtype.itemsize for step in steps)
        else:
            strides = tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))
        stream = about.get("stream") or _LEGACY_STREAM
        device = _cuda.device_of(pointer)
        return OnDevice(pointer, device, str(dtype), shape, strides, read_only, stream, x)


_LIBRARIES: dict[str, Library] = {"torch": _Torch(), "cupy": _CuPy()}
_LIBRARIES |= dict.fromkeys(("jax", "jaxlib"), _Jax())
_DLPACK, _INTERFACE = Library(), _Interface()


@cache
def _library_of(kind: Hashable) -> Library | None:
    assert isinstance(kind, type)
    if issubclass(kind, np.ndarray | np.generic):
        return None
    library = _LIBRARIES.get(kind.__module__.partition(".")[0])
    if hasattr(kind, "__dlpack__"):
        return library or _DLPACK
    return None


def is_own(x: Any) -> bool:
    """Whether an array is a `facegen._cuda.DeviceArray` that knows who uses it."""
    cuda = sys.modules.get("facegen._cuda")
    return cuda is not None and isinstance(x, cuda.DeviceArray) and not x.is_lent


def find_own(x: Any) -> OnDevice:
    """Where such an array is; behind whose work, it knows itself."""
    return OnDevice(x.pointer, x.device, x.dtype, x.shape, x.strides, False, 0, x)


def library_of(x: Any) -> Library | None:
    """Whose array that is; None for NumPy's, and for what is no array of a library."""
    library = _library_of(cast(Hashable, type(x)))
    if library is None and hasattr(x, "__cuda_array_interface__"):
        return _INTERFACE
    return library


def locate(
    arrays: Sequence[Any], names: Sequence[str] | None = None
) -> tuple[Library | None, list[OnDevice]]:
    """Whose arrays a call's are, None for NumPy's; and where they are, nowhere if on the host.

    Messages have the arrays' names, or "array 0" and so on.

    Raises
    ------
    ValueError
        They are of several libraries or in several places, or one cannot be shared.
    """
    libraries = [library_of(x) for x in arrays]
    if not any(libraries):
        return None, []
    found: list[OnDevice | None] = []
    names = names or [f"array {i}" for i in range(len(arrays))]
    for name, x, library in zip(names, arrays, libraries, strict=True):
        try:
            found.append(None if library is None else library.find(x))
        except (ValueError, BufferError) as error:
            raise ValueError(f"{name} {error}") from None
        except _FOREIGN_ERRORS as error:
            raise ValueError(f"{name} cannot be shared: {_line(error)}") from None
    homes = {None if one is None else one.device for one in found}
    if len(homes) > 1:
        names = ", ".join("the host" if home is None else f"cuda:{home}" for home in homes)
        raise ValueError(f"the arrays of a call must be in one place, not on {names}")
    first = libraries[0]
    if any(library is not first for library in libraries):
        raise ValueError("the arrays of a call must be of one library")
    return first, [one for one in found if one is not None]


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def values_of(library: Library, arrays: Sequence[Any]) -> list[np.ndarray]:
    """The values of arrays on the host.

    Raises
    ------
    ValueError
        One has none that NumPy can hold.
    """
    values = []
    for i, x in enumerate(arrays):
        try:
            values.append(library.to_numpy(x))
        except (ValueError, BufferError, *_FOREIGN_ERRORS) as error:
            raise ValueError(f"array {i} cannot be read: {_line(error)}") from None
    return values
