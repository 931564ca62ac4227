"""The machine: what it is, and how many multiply-adds it does right now."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """CPU, instruction sets, processors, versions and date, for the record."""
    return {
        "cpu": _cpu_model(),
        "isas": _available_isas(),
        "processors": processors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "facegen_isa": os.environ.get("FACEGEN_ISA"),
        "command": " ".join(["python -m bench", *sys.argv[1:]]),
    }


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def fma_peak(threads: int, seconds: float = 0.03) -> float:
    """GFLOP/s of independent multiply-adds in registers; NaN where our native module is absent."""
    try:
        from facegen import _native
    except ImportError:
        return float("nan")
    return _native.measure_fma_peak(threads, seconds)


def _commit() -> str | None:
    """Of the checkout, marked where files differ from it; None where git cannot say."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _available_isas() -> list[str]:
    try:
        from facegen import _native
    except ImportError:
        return []
    return _native.available_isas()


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    numbers = [f"{key} {values[key]}" for key in ("cpu family", "model") if key in values]
    return f"{values.get('model name', platform.machine())} ({', '.join(numbers)})"
