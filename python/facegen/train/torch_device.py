"""What a device's name means to PyTorch."""

from __future__ import annotations

import torch

from facegen.errors import DeviceError


def torch_device(name: str, local_rank: int | None = None) -> torch.device:
    """"auto", "cpu", "cuda" or "cuda:1" as PyTorch's device; `local_rank` goes before a number.

    Raises
    ------
    DeviceError
        There is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"device {name!r}: expected auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"device {name!r}: expected auto, cpu, cuda or cuda:N")
    if device.type == "cpu":
        return device
    index = device.index or 0 if local_rank is None else local_rank
    if index >= torch.cuda.device_count():
        found = torch.cuda.device_count()
        raise DeviceError(f"device {name!r}: PyTorch finds {found} GPUs, number {index} is wanted")
    return torch.device("cuda", index)
