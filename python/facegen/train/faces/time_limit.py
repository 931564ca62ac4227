"""How many steps a run of so many minutes has: the rates fall with the steps, so it is told before.

The pace is that of steps of the same networks, pictures and device, whose result is thrown away. A
run that goes on has the number that was told at its beginning, which is in its folder.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.errors import FormatError
from facegen.files.atomic import AtomicFile
from facegen.train.faces.adversaries import Adversaries
from facegen.train.faces.run import loop_of
from facegen.train.faces.settings import FaceSettings
from facegen.train.trainer_state import MOST_STEPS

_NAME = "steps.txt"
_MOST_SECONDS = 8.0  # of the steps whose pace is measured, about
_SHARE = 0.1  # of the run, that they may take
_WARM_UP = 2  # periods of steps, one of which has a penalty: kernels are loaded, graphs recorded
_MOST = 100  # periods


def steps_within(
    seconds: float,
    pixels: NDArray[np.uint8],
    settings: FaceSettings,
    threads: int | None = None,
    device: str = CPU,
) -> int:
    """Steps that take so long here, at least one; `settings.steps` does not matter."""
    adversaries = Adversaries(pixels, settings, None, threads, device=device)
    period = settings.penalty_every

    def timed(periods: int) -> float:
        some = replace(settings, steps=periods * period)
        start = perf_counter()
        loop_of(adversaries, pixels, some, device).run()
        return (perf_counter() - start) / some.steps

    pace = timed(1)
    room = min(_MOST_SECONDS, _SHARE * seconds)
    if room > _WARM_UP * period * pace:
        pace = timed(_WARM_UP)
        pace = timed(max(1, min(_MOST, round(room / (pace * period)))))
    return max(1, min(MOST_STEPS, int(seconds / pace)))


def keep(folder: Path, steps: int) -> None:
    """Write the number into the folder of a run."""
    folder.mkdir(parents=True, exist_ok=True)
    with AtomicFile(folder / _NAME) as file:
        file.write(f"{steps}\n".encode())


def kept(folder: Path) -> int:
    """The number that `keep` wrote.

    Raises
    ------
    FormatError
        The file holds something else.
    OSError
        There is none.
    """
    path = folder / _NAME
    text = path.read_bytes()[:32].decode("ascii", "replace").strip()
    if not text.isdecimal() or not 1 <= int(text) <= MOST_STEPS:
        raise FormatError(f"{path}: expected a number of steps, found {text!r}")
    return int(text)
