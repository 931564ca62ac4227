"""What the machine itself reaches: matrix products, and copies between host and device."""

from __future__ import annotations

from dataclasses import dataclass

import torch

SIZE = 8192  # of the square matrices
COPY_BYTES = 1 << 30


@dataclass(frozen=True)
class Ceilings:
    """TFLOPS of PyTorch's matrix product by format, GB/s of copies with pinned memory."""

    tflops: dict[str, float]
    to_device: float
    to_host: float


def measure() -> Ceilings:
    return Ceilings(
        tflops={
            "fp32": _product(torch.float32, tf32=False),
            "tf32": _product(torch.float32, tf32=True),
            "fp16": _product(torch.float16, tf32=False),
            "bf16": _product(torch.bfloat16, tf32=False),
        },
        to_device=_copy(to_device=True),
        to_host=_copy(to_device=False),
    )


def set_tf32(allowed: bool) -> None:
    """For products and convolutions alike."""
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


def _product(dtype: torch.dtype, tf32: bool) -> float:
    set_tf32(tf32)
    # Random numbers: a product of zeros draws less power and runs faster.
    a, b = (torch.randn(SIZE, SIZE, device="cuda", dtype=dtype) for _ in range(2))
    milliseconds = _milliseconds(lambda: torch.mm(a, b), 5)
    return 2 * SIZE**3 / milliseconds / 1e9


def _copy(to_device: bool) -> float:
    host = torch.empty(COPY_BYTES, dtype=torch.uint8, pin_memory=True)
    device = torch.empty(COPY_BYTES, dtype=torch.uint8, device="cuda")
    to, of = (device, host) if to_device else (host, device)
    return COPY_BYTES / _milliseconds(lambda: to.copy_(of, non_blocking=True), 3) / 1e6


def _milliseconds(run, repeats: int) -> float:  # type: ignore[no-untyped-def]
    """Of one run, the mean of several."""
    run()
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(repeats):
        run()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / repeats
