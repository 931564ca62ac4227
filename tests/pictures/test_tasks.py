"""The tasks of the commands travel to other ranks."""

from __future__ import annotations

import pickle
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from facegen.pictures import classify, colorize, digits, pix2pix, segment

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
