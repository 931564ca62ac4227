"""Which GPU the course's programs meet: the driver says it, also where facegen has no CUDA."""

from __future__ import annotations

import ctypes

_MAJOR, _MINOR = 75, 76  # of CUdevice_attribute: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_...


def has_gpu() -> bool:
    """Whether the driver has a GPU."""
    return compute_capability() is not None


def compute_capability() -> tuple[int, int] | None:
    """Of the first GPU, as (9, 0) for Hopper; None where the driver has none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, major, minor = (ctypes.c_int(0) for _ in range(3))
    found = (
        driver.cuInit(0) == 0
        and driver.cuDeviceGet(ctypes.byref(device), 0) == 0
        and driver.cuDeviceGetAttribute(ctypes.byref(major), _MAJOR, device) == 0
        and driver.cuDeviceGetAttribute(ctypes.byref(minor), _MINOR, device) == 0
    )
    return (major.value, minor.value) if found else None
