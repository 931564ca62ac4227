"""What a device string means, and what this build and machine can give."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from types import ModuleType

from facegen.errors import DeviceError
from facegen.launchers import find_place, gpus_of

PRECISIONS = ("float32", "strict", "tf32", "float16")


@dataclass(frozen=True)
class Device:
    """A kind of device and, for GPUs, which ones."""

    kind: str  # "cpu" or "cuda"
    indices: tuple[int, ...] = ()

    def __str__(self) -> str:
        if self.kind == "cpu":
            return "cpu"
        return f"cuda:{','.join(map(str, self.indices))}"


def parse_device(text: str) -> Device:
    """Read "auto", "cpu", "cuda" (the first GPU), "cuda:0,1" or "all" (every GPU).

    "auto" is the first GPU where one is usable, else the CPU. The driver is looked for only where
    the text may mean a GPU. In one of several ranks (`facegen.parallel`) "auto", "cuda" and "all"
    are the GPUs of this rank, and a list is what the ranks of a machine share.

    Raises
    ------
    DeviceError
        For any other text, and for GPUs that this build or machine cannot use: a GPU that was
        asked for by name is never replaced by the CPU.
    """
    if text == "cpu":
        return Device("cpu")
    if text == "auto":
        return Device("cpu") if why_no_cuda() else Device("cuda", _first_or_share(usable_gpus()))
    match = re.fullmatch(r"cuda(?::(\d+(?:,\d+)*))?", text)
    if match is None and text != "all":
        raise DeviceError(
            f'device must be "auto", "cpu", "cuda", "cuda:0,1" or "all", not {text!r}'
        )
    if reason := why_no_cuda():
        raise DeviceError(f"device {text!r}: {reason}")
    if text == "all":
        return Device("cuda", _share(usable_gpus()))
    if text == "cuda":
        return Device("cuda", _first_or_share(usable_gpus()))
    indices = tuple(int(index) for index in text.removeprefix("cuda:").split(","))
    if len(set(indices)) < len(indices):
        raise DeviceError(f"device {text!r} names a GPU twice")
    usable = usable_gpus()
    for index in indices:
        if index not in usable:
            here = ", ".join(f"cuda:{i}" for i in usable)
            raise DeviceError(f"device {text!r}: there is no usable cuda:{index}, only {here}")
    return Device("cuda", _share(indices))


def _share(gpus: tuple[int, ...]) -> tuple[int, ...]:
    """The GPUs of this rank, if there are several ranks."""
    return gpus_of(find_place(os.environ), gpus, os.environ)


def _first_or_share(gpus: tuple[int, ...]) -> tuple[int, ...]:
    return _share(gpus) if find_place(os.environ).size > 1 else gpus[:1]


def cuda_module() -> ModuleType:
    """``facegen._cuda``. Importing it touches no driver.

    Raises
    ------
    DeviceError
        This build has none, or its file is gone.
    """
    from facegen import _native

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
