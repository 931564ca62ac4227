"""Which engine runs a trainer's steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facegen.engine.device import CPU, Device
from facegen.engine.devices import parse_device
from facegen.errors import DeviceError
from facegen.nn.grad import TrainingProgram
from facegen.train.cpu_steps import CpuSteps
from facegen.train.cuda_steps import CudaSteps
from facegen.train.ranks import Ranks
from facegen.train.step_engine import StepEngine


def one_device(text: str) -> Device:
    """What `parse_device` makes of a text, where that is the CPU or one GPU; else DeviceError."""
    found = parse_device(text)
    if len(found.indices) > 1:
        raise DeviceError(f"training takes one GPU, not {found}")
    return found


def make_step_engine(
    device: str,
    program: TrainingProgram,
    arrays: Mapping[str, np.ndarray],
    threads: int,
    precision: str,
    ranks: Ranks | None,
) -> StepEngine:
    """The engine of a device: "cpu", "cuda", "cuda:1", or "auto".

    Raises
    ------
    DeviceError
        There is no such device, or it cannot be used.
    ValueError
        The device has no kernel for a step, or not this precision.
    """
    found = one_device(device)
    if found.kind == CPU:
        return CpuSteps(program, arrays, threads, precision, ranks)
    if precision not in ("strict", "float32"):
        raise ValueError(f"precision {precision!r} needs the CPU; GPUs train in float32")
    return CudaSteps(program, arrays, found)
