from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from facegen.nn.program import Program

class DeviceInfo(TypedDict):
    index: int
    name: str
    capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int

class ChunkQueue:
    """The images of a batch, handed out in chunks."""

    def __init__(self, images: int, gpus: int, smallest: int) -> None: ...
    def stop(self) -> None: ...

class CudaExecutable:
    """A lowered program on one GPU."""

    def __init__(
        self,
        program: Program,
        device: int = 0,
        precision: str = "float32",
        kernels: str = "auto",
        max_images: int = 0,
        memory_limit: int = 0,
        poison: bool = False,
    ) -> None: ...
    def run(
        self,
        inputs: Sequence[NDArray[np.float32]],
        outputs: Sequence[NDArray[np.float32]],
        queue: ChunkQueue,
        threads: int = 1,
    ) -> None: ...
    def time_resident(self, images: int, repeats: int, graph: bool = False) -> list[float]: ...
    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]: ...
    @property
    def max_images(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> str: ...

def devices() -> list[DeviceInfo]: ...
def require_not_forked() -> None: ...
def why_unusable() -> str: ...
def empty_pinned(shape: Sequence[int], device: int) -> NDArray[np.float32] | None: ...
