"""What a device string means, and what this build and machine can give."""

from __future__ import annotations

import os
import re

from facegen.engine.cpu import CpuEngine
from facegen.engine.cuda import CUDA
from facegen.engine.device import CPU, Device, Kind, MakeEngine
from facegen.errors import DeviceError
from facegen.launchers import find_place, gpus_of

PRECISIONS = ("float32", "strict", "bfloat16", "tf32", "float16")

# "auto" and "all" take the first of these that is usable here.
GPU_KINDS: tuple[Kind, ...] = (CUDA,)


def names() -> list[str]:
    """What a device string begins with."""
    return ["auto", CPU, *(kind.name for kind in GPU_KINDS), "all"]


def forms() -> list[str]:
    """The same with lists of GPUs."""
    gpus = [form for kind in GPU_KINDS for form in (kind.name, f"{kind.name}:0,1")]
    return ["auto", CPU, *gpus, "all"]


def engine_of(device: Device) -> MakeEngine:
    """What makes a program ready on a device."""
    engines: dict[str, MakeEngine] = {kind.name: kind.engine for kind in GPU_KINDS}
    return CpuEngine if device.kind == CPU else engines[device.kind]


def usable_kind() -> Kind | None:
    """The first kind of GPUs of which one can be used."""
    return next((kind for kind in GPU_KINDS if not kind.why_unusable()), None)


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
    if text == CPU:
        return Device(CPU)
    if text == "auto":
        found = usable_kind()
        return _first_or_share(found) if found else Device(CPU)
    if text == "all":
        if found := usable_kind():
            return _share(found, found.usable())
        reasons = "; ".join(dict.fromkeys(kind.why_unusable() for kind in GPU_KINDS))
        raise DeviceError(f"device {text!r}: {reasons}")
    name, _, numbers = str(text).partition(":")  # whatever it is, the error below says so
    kind = next((kind for kind in GPU_KINDS if kind.name == name), None)
    if kind is None or not re.fullmatch(rf"{name}(:\d+(,\d+)*)?", text):
        *known, last = (f'"{form}"' for form in forms())
        raise DeviceError(f"device must be {', '.join(known)} or {last}, not {text!r}")
    if reason := kind.why_unusable():
        raise DeviceError(f"device {text!r}: {reason}")
    if not numbers:
        return _first_or_share(kind)
    return _share(kind, _checked(text, kind, [int(number) for number in numbers.split(",")]))


def describe(device: Device) -> str:
    """A device for people: "the CPU", "cuda:0, NVIDIA H200 (sm_90, 140 GiB)"."""
    kinds = {kind.name: kind for kind in GPU_KINDS}
    words = [f"{device.kind}:{i}, {kinds[device.kind].describe(i)}" for i in device.indices]
    return "; ".join(words) or "the CPU"


def _checked(text: str, kind: Kind, indices: list[int]) -> tuple[int, ...]:
    """Those that were named, each of which must be usable."""
    if len(set(indices)) < len(indices):
        raise DeviceError(f"device {text!r} names a GPU twice")
    usable = kind.usable()
    for index in indices:
        if index not in usable:
            here = ", ".join(f"{kind.name}:{i}" for i in usable)
            raise DeviceError(
                f"device {text!r}: there is no usable {kind.name}:{index}, only {here}"
            )
    return tuple(indices)


def _share(kind: Kind, gpus: tuple[int, ...]) -> Device:
    """The GPUs of this rank, if there are several ranks."""
    return Device(kind.name, gpus_of(find_place(os.environ), gpus, os.environ))


def _first_or_share(kind: Kind) -> Device:
    gpus = kind.usable()
    several = find_place(os.environ).size > 1
    return _share(kind, gpus if several else gpus[:1])
