"""What a device string means, and what this build and machine can give."""

from __future__ import annotations

import re
from dataclasses import dataclass

from facegen.errors import DeviceError

PRECISIONS = ("float32", "strict", "tf32", "float16")


@dataclass(frozen=True)
class Device:
    """A kind of device and, for GPUs, which ones: None means all that are visible."""

    kind: str  # "cpu" or "cuda"
    indices: tuple[int, ...] | None = None

    def __str__(self) -> str:
        if self.indices is None:
            return self.kind
        return f"{self.kind}:{','.join(map(str, self.indices))}"


def parse_device(text: str) -> Device:
    """Read "auto", "cpu", "cuda", "cuda:0,1" or "all".

    Raises
    ------
    DeviceError
        For any other text, and for GPUs that this build or machine cannot use: a GPU that was
        asked for by name is never replaced by the CPU.
    """
    if text in ("auto", "cpu"):
        return Device("cpu")
    match = re.fullmatch(r"cuda(?::(\d+(?:,\d+)*))?", text)
    if match is None and text != "all":
        raise DeviceError(
            f'device must be "auto", "cpu", "cuda", "cuda:0,1" or "all", not {text!r}'
        )
    raise DeviceError(f"device {text!r}: {why_no_cuda()}")


def why_no_cuda() -> str:
    """Why a GPU is not used, in one line."""
    return "this build of facegen has no CUDA engine"
