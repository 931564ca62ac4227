from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.nn.grad import TrainingProgram
from facegen.nn.program import Buffer, Program, Step

MOST_POSITIONS: int  # of every size and position along an axis, and of channels
MOST_PIXELS: int  # of a map
WHY_NO_CUDA: str

class CpuExecutable:
    """A lowered program on the CPU."""

    def __init__(
        self, program: Program, isa: str | None = None, threads: int = 1
    ) -> None: ...
    def run(
        self,
        inputs: Sequence[NDArray[np.float32]],
        outputs: Sequence[NDArray[np.float32]],
        threads: int,
    ) -> None: ...
    @property
    def isa(self) -> str: ...

CHUNK_IMAGES: int  # over which sums of a batch are made image by image
ELSEWHERE: str  # of a FloatingPointError of ranks that stop with the one where it began

class CpuTraining:
    """A training program on the CPU."""

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, NDArray[np.float32]],
        isa: str | None = None,
    ) -> None: ...
    def step(
        self,
        inputs: Sequence[NDArray[np.float32]],
        targets: Sequence[NDArray[Any]],
        losses: NDArray[np.float64],
        rates: Sequence[float],
        seed: int,
        number: int,
        update: bool,
        threads: int,
        part_images: int | None = None,
        predicted: bool = False,
        ranks: Any = None,
    ) -> float: ...
    def predict(
        self, inputs: Sequence[NDArray[np.float32]], seed: int, number: int, threads: int
    ) -> list[NDArray[np.float32]]: ...
    @property
    def found_floats(self) -> int: ...
    def found(self) -> NDArray[np.float32]: ...
    def apply(
        self,
        found: NDArray[np.float32],
        images: int,
        rates: Sequence[float],
        seed: int,
        number: int,
        threads: int,
    ) -> float: ...
    def gradient(self, parameter: str) -> NDArray[np.float32]: ...
    def kept(self, number: int) -> NDArray[np.float32]: ...
    @property
    def kernels(self) -> list[str]: ...
    @property
    def step_seconds(self) -> list[float]: ...
    @property
    def isa(self) -> str: ...
    @property
    def memory_bytes(self) -> int: ...

def matmul(
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    out: NDArray[np.float32],
    algorithm: str,
    isa: str | None = None,
    threads: int = 1,
) -> None: ...
def empty_pooled(shape: Sequence[int], dtype: np.dtype[Any]) -> NDArray[Any]: ...

class Borrowed:
    """What a DLPack capsule holds, for as long as this lives."""

    def __init__(self, capsule: object) -> None: ...
    @property
    def pointer(self) -> int: ...
    @property
    def device(self) -> tuple[int, int]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def read_only(self) -> bool: ...

class FitCpu:
    """The CPU, as programs are fitted to it."""

    def __init__(self, isa: str) -> None: ...
    def kernel(self, step: Step, buffers: Sequence[Buffer]) -> tuple[int, str] | None: ...
    def why_not(self, step: Step, buffers: Sequence[Buffer]) -> str: ...
    def costs(self, step: Step, buffers: Sequence[Buffer]) -> tuple[int, int, float]: ...
    def input_format(self, step: Step, buffers: Sequence[Buffer]) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def operand_format(self) -> str: ...
    @property
    def value_format(self) -> str: ...
    @property
    def pixel_channels(self) -> int: ...

class FitCuda:
    """A generation of GPUs, as programs are fitted to it."""

    def __init__(self, major: int, minor: int, precision: str, kernels: str) -> None: ...
    def kernel(self, step: Step, buffers: Sequence[Buffer]) -> tuple[int, str] | None: ...
    def why_not(self, step: Step, buffers: Sequence[Buffer]) -> str: ...
    def input_format(self, step: Step, buffers: Sequence[Buffer]) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def operand_format(self) -> str: ...
    @property
    def value_format(self) -> str: ...
    @property
    def pixel_channels(self) -> int: ...

class NumberParser:
    """White-space-separated decimal numbers to float32, block by block."""

    def __init__(self, finite: bool = False, line: int = 1, column: int = 1) -> None: ...
    def feed(self, block: bytes, threads: int = 1) -> NDArray[np.float32]: ...
    def finish(self) -> NDArray[np.float32]: ...
    @property
    def line(self) -> int: ...
    @property
    def column(self) -> int: ...

def warp(
    pictures: NDArray[np.float32],
    matrices: NDArray[np.float32],
    lenses: NDArray[np.float32],
    result: NDArray[np.float32],
    cubic: bool,
    mirrored: bool,
    threads: int = 1,
    isa: str | None = None,
) -> None: ...
def warp_adjoint(
    gradient: NDArray[np.float32],
    matrices: NDArray[np.float32],
    lenses: NDArray[np.float32],
    pictures: NDArray[np.float32],
    cubic: bool,
    mirrored: bool,
    threads: int = 1,
    isa: str | None = None,
) -> None: ...
def colour_sums(
    pictures: NDArray[np.float32],
    sums: NDArray[np.float64],
    threads: int = 1,
    isa: str | None = None,
) -> None: ...
def recolour(
    pictures: NDArray[np.float32],
    matrices: NDArray[np.float32],
    result: NDArray[np.float32],
    threads: int = 1,
    isa: str | None = None,
) -> None: ...
def available_isas(precision: str = "float32") -> list[str]: ...
def choose_isa() -> str: ...
def format_rows(values: NDArray[np.float32], threads: int = 1) -> bytes: ...
def lab_to_rgb(
    from_: NDArray[np.float32], to: NDArray[np.uint8] | NDArray[np.float32], threads: int = 1
) -> None: ...
def measure_fma_peak(threads: int, seconds: float = 0.05) -> float: ...
def most_threads() -> int: ...
def narrow_labels(
    labels: NDArray[np.integer[Any]], classes: int, to: NDArray[np.int32], threads: int
) -> bool: ...
def rgb_to_lab(
    from_: NDArray[np.uint8] | NDArray[np.float32], to: NDArray[np.float32], threads: int = 1
) -> None: ...
def rgb_to_lightness(
    from_: NDArray[np.uint8] | NDArray[np.float32], to: NDArray[np.float32], threads: int = 1
) -> None: ...
def values_to_pixels(
    values: NDArray[np.float32], pixels: NDArray[np.uint8], threads: int = 1
) -> None: ...
