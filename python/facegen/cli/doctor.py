"""facegen doctor: what this machine and this installation offer, and why something is not used."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal
from facegen.files.standard import is_stdout


@click.command("doctor", epilog=options.examples("facegen doctor", "facegen doctor --json -"))
@options.json_report
@options.overwrite
@options.common
def command(json_: str | None, overwrite: bool) -> None:
    """Explain what facegen found: processor, instruction sets, threads, devices."""
    options.check_report(json_, overwrite)
    report = examine()
    options.write_report(json_, report)
    if is_stdout(json_):
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
    from facegen import _native, processors, system

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
        "processor": system.processor_name(),
        "isas": _native.available_isas(),
        "strict_isas": _native.available_isas("strict"),
        "isa": chosen,
        "threads": _threads(processors.count(), os.cpu_count()),
        **_gpus(),
    }


def _gpus() -> dict[str, Any]:
    from facegen.engine.device import CPU
    from facegen.engine.devices import GPU_KINDS, parse_device

    devices, states = [CPU], {}
    for kind in GPU_KINDS:
        if reason := kind.why_unusable():
            states[kind.name] = f"not used: {reason}"
        else:
            states[kind.name] = f"used: auto is {parse_device('auto')}"
            devices += [f"{kind.name}:{i} {kind.describe(i)}" for i in kind.usable()]
    return {"devices": devices, **states}


def _threads(usable: int, present: int | None) -> str:
    """How many by default, and what bounds them."""
    from facegen import processors

    in_mask, quota = processors.in_mask(), processors.quota()
    if quota is not None and usable < in_mask:
        return f"{usable} (of {in_mask} processors; the control group's quota is {quota:g} of them)"
    if present is None or usable == present:
        return f"{usable}"
    return f"{usable} (of {present} processors; the others are not in this process's affinity mask)"
