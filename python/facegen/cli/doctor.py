"""facegen doctor: what this machine and this installation offer, and why something is not used."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal


@click.command("doctor", epilog=options.examples("facegen doctor", "facegen doctor --json -"))
@options.json_report
@options.overwrite
@options.common
def command(json_: str | None, overwrite: bool) -> None:
    """Explain what facegen found: processor, instruction sets, threads, devices."""
    options.check_report(json_, overwrite)
    report = examine()
    options.write_report(json_, report)
    if json_ == "-":
        return
    for name, value in report.items():
        text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        terminal.say(f"{name.replace('_', ' '):<13}: {text}")


def examine() -> dict[str, Any]:
    """What `facegen doctor` prints, by name."""
    import os
    import platform
    import sys

    import numpy as np

    import facegen
    from facegen import _native, processors

    try:
        chosen = _native.choose_isa()
        chosen += " (named by FACEGEN_ISA)" if os.environ.get("FACEGEN_ISA") else " (the best here)"
    except ValueError as error:
        chosen = f"none: FACEGEN_ISA: {error}"
    return {
        "facegen": facegen.__version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "numpy": np.__version__,
        "native_module": _native.__file__,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "isas": _native.available_isas(),
        "strict_isas": _native.available_isas(strict=True),
        "isa": chosen,
        "threads": _threads(processors.count(), os.cpu_count()),
        **_gpus(),
    }


def _gpus() -> dict[str, Any]:
    from facegen.engine.devices import cuda_module, parse_device, usable_gpus, why_no_cuda

    if reason := why_no_cuda():
        return {"devices": ["cpu"], "cuda": f"not used: {reason}"}
    gpus = [
        f"cuda:{gpu['index']} {gpu['name']} (sm_{gpu['capability'][0]}{gpu['capability'][1]}, "
        f"{gpu['memory_bytes'] / 2**30:.0f} GiB)"
        for gpu in cuda_module().devices()
        if gpu["index"] in usable_gpus()
    ]
    return {"devices": ["cpu", *gpus], "cuda": f"used: auto is {parse_device('auto')}"}


def _threads(usable: int, present: int | None) -> str:
    """How many by default, and what bounds them."""
    from facegen import processors

    in_mask, quota = processors.in_mask(), processors.quota()
    if quota is not None and usable < in_mask:
        return f"{usable} (of {in_mask} processors; the control group's quota is {quota:g} of them)"
    if present is None or usable == present:
        return f"{usable}"
    return f"{usable} (of {present} processors; the others are not in this process's affinity mask)"


def _processor() -> str:
    import platform

    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or "unknown"
