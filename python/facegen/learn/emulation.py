"""CUDA exercises where there is no GPU: the same file as C++, its threads one after another.

``course/common/cuda_on_cpu.h`` is what a kernel needs for that. It verifies; it times nothing.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from facegen.errors import FacegenError
from facegen.hub import cache
from facegen.learn.build import forget_oldest

_COMMAND = b"//   g++ -std=c++17 -O1 -pthread emulated.cpp -o rung\n"


def emulated(source: Path) -> Path:
    """A file of C++ that is a .cu file and its name, for a compiler that goes by names.

    Raises
    ------
    FacegenError
        The system has no fibers for a block's threads.
    """
    if os.name == "nt":
        raise FacegenError(
            f"{source}: without a GPU its threads need ucontext.h, which Windows lacks"
        )
    source = source.resolve()
    place = cache.folder() / "course" / "emulated"
    place.mkdir(parents=True, exist_ok=True)
    # The compiler is to name the learner's file, and its lines.
    name = "".join(f"\\{c}" if c in '\\"' else c for c in str(source) if c.isprintable())
    text = _COMMAND + f'#line 1 "{name}"\n'.encode(errors="replace") + source.read_bytes()
    wrapper = place / f"{source.stem}-{hashlib.sha256(text).hexdigest()[:16]}.cpp"
    wrapper.write_bytes(text)
    forget_oldest(place)
    return wrapper
