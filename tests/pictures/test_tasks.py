"""The tasks of the commands travel to other ranks."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facegen.photos.encode import encode
from facegen.pictures import classify, colorize, digits, pix2pix, segment
from facegen.pictures import task as task_module

MODEL: Any = SimpleNamespace(
    weights={"a.weight": np.ones(3, np.float32)},
    arithmetic={"precision": "float32", "algorithm": "auto"},
    runner=SimpleNamespace(batch=4),
    prepare=np.asarray,
    compute=np.stack,
)
TASKS = {
    "colorize": colorize.task(MODEL, strength=0.5),
    "pix2pix": pix2pix.task(MODEL, original_size=True),
    "segment": segment.task(MODEL, segment.Parts(overlay="_overlay.png", masks=True)),
    "classify": classify.task(MODEL, 5, None),
    "digits": digits.task(MODEL),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_picklable(name: str) -> None:
    task = TASKS[name]
    copy = pickle.loads(pickle.dumps(task))
    assert copy.settings == task.settings and copy.settings["command"] == name
    assert copy.batch == task.batch
    for step in ("prepare", "compute", "finish"):
        assert callable(getattr(copy, step))


@pytest.mark.parametrize(
    ("depth", "of_8_bits", "of_16_bits"), [(8, 1, 1), (16, 2, 2), (colorize.SAME, 1, 2)]
)
def test_a_picture_counts_by_the_bits_that_are_kept(
    monkeypatch: pytest.MonkeyPatch, depth: str | int, of_8_bits: int, of_16_bits: int
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(task_module, "check_memory", lambda size, what: asked.append(size))
    task = colorize.task(MODEL, depth=depth)
    for kind, times in ((np.uint8, of_8_bits), (np.uint16, of_16_bits)):
        picture = encode(np.zeros((30, 20, 3), kind), "a.png")
        assert task.pixels(picture) == 600 * times
        assert asked.pop() == 6000 * times  # bytes
        assert TASKS["pix2pix"].pixels(picture) == 600  # which keeps 8
