"""Which engine runs a trainer's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facegen.engine.device import CPU, Device
from facegen.engine.devices import PRECISIONS, parse_device
from facegen.errors import DeviceError
from facegen.nn.grad import TrainingProgram
from facegen.numbers.rounding import Rounding
from facegen.train.cpu_steps import CpuSteps
from facegen.train.cuda_steps import CudaSteps
from facegen.train.ranks import Ranks
from facegen.train.rounded_steps import RoundedSteps
from facegen.train.step_engine import StepEngine


def one_device(text: str, ranks: Ranks | None = None) -> Device:
    """What `parse_device` makes of a text, where that is the CPU or one GPU; else DeviceError.

    Each of the `ranks` of a machine has its own by its number there, unless a number is named.
    """
    found = parse_device(text)
    if len(found.indices) > 1:
        if ranks is None:
            raise DeviceError(f"training takes one GPU, not {found}")
        return Device(found.kind, found.indices[:1])
    return found


def make_step_engine(
    device: str,
    program: TrainingProgram,
    arrays: Mapping[str, np.ndarray],
    threads: int,
    precision: str,
    ranks: Ranks | None,
    shares: int = 1,
    binary: Sequence[str] = (),
    rounding: Rounding | None = None,
    seed: int = 0,
) -> StepEngine:
    """The engine of a device: "cpu", "cuda", "cuda:1", or "auto".

    `shares` of a batch are what GPUs add up: see `Trainer`. Of `binary` parameters steps see the
    signs, and all that are trained are rounded, by bits of the `seed`.

    Raises
    ------
    DeviceError
        There is no such device, or it cannot be used, or not by these ranks.
    ValueError
        The device has not this precision, or neither binary layers nor rounding.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, not {precision!r}")
    found = one_device(device, ranks)
    if binary or rounding is not None:
        if found.kind != CPU or ranks is not None:
            where = f"on {found}" if found.kind != CPU else "by several ranks"
            raise ValueError(f"binary layers and rounding train on one CPU, not {where}")
        return RoundedSteps(program, arrays, threads, precision, binary, rounding, seed)
    if found.kind == CPU:
        if ranks is not None:
            ranks.require_messages()
        return CpuSteps(program, arrays, threads, precision, ranks)
    return CudaSteps(program, arrays, found, precision, ranks, shares, threads)
