"""Verifies and times an exercise of Python, in a process of its own.

    python -m facegen.learn.python_exercise check.py 15_im2col.py

prints a line of JSON, its last: whether it is "verified", what is "wrong", and where a speed is
asked for "seconds" and "plain_seconds".

``check.py`` has ``verify(own)``, which raises AssertionError with what is wrong, `own` being the
learner's module; where a speed is asked for, also ``work(own)`` and ``plain()``, two functions
without arguments that do the same work, the second one plainly.
"""

from __future__ import annotations

import importlib.util
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from facegen.files.json_text import json_text

_TURNS = 5
_SAID = 500  # characters of an error
_UNFIT = "what your function returns does not fit (without a return that is None): "


def check(check_file: Path, own_file: Path) -> dict[str, Any]:
    """What is printed."""
    report: dict[str, Any] = {"verified": False, "wrong": ""}
    try:
        own = _load(own_file, "own")
    except BaseException as error:  # whatever the file's own code raises
        return report | {"wrong": f"cannot be imported: {_told(error, own_file)}"}
    test = _load(check_file, "check")
    try:
        test.verify(own)
        report["verified"] = True
        if hasattr(test, "work"):
            report |= _timed(test.work(own), test.plain())
        return report
    except AssertionError as error:
        wrong = _short(str(error)) or "an assertion of your own fails"
    except BaseException as error:
        if isinstance(error, AttributeError) and error.obj is own:
            wrong = f"your file has no {error.name}"
        else:
            wrong = _told(error, own_file, _UNFIT)
    return {"verified": False, "wrong": wrong}


def _load(path: Path, name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _told(error: BaseException, own_file: Path, elsewhere: str = "") -> str:
    """An error in one line, with the last line of the learner's file that it went through.

    `elsewhere` is said in its place of one that went through none.
    """
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(own_file)]
    if isinstance(error, SyntaxError):
        lines.append(error.lineno)
    where = f"line {lines[-1]}: " if lines and lines[-1] else elsewhere
    # An error of the learner's own may have a __str__ that fails: this says so.
    return _short(where + traceback.format_exception_only(error)[-1].strip())


def _short(text: str) -> str:
    return text if len(text) <= _SAID else text[:_SAID] + "..."


def _timed(work: Callable[[], object], plain: Callable[[], object]) -> dict[str, float]:
    """The least processor time of each of several runs, in turns."""
    least = [float("inf"), float("inf")]
    for _ in range(_TURNS):
        for i, function in enumerate((work, plain)):
            begin = time.process_time()
            function()
            least[i] = min(least[i], max(time.process_time() - begin, 1e-7))
    return {"seconds": least[0], "plain_seconds": least[1]}


if __name__ == "__main__":
    result = check(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
    print("\n" + json_text(result), flush=True)
