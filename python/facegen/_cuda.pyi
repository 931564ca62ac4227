from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypedDict

import numpy as np
from numpy.typing import NDArray

from facegen.nn.grad import TrainingProgram
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

# As `facegen.engine.device.CallerArray`.
_CallerArray = tuple[int, str, tuple[int, ...], tuple[int, ...]]

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
        inputs: Sequence[NDArray[Any]],
        outputs: Sequence[NDArray[Any]],
        queue: ChunkQueue,
        threads: int = 1,
    ) -> None: ...
    def prepare(
        self, inputs: Sequence[_CallerArray], outputs: Sequence[_CallerArray], images: int
    ) -> Call: ...
    def time_resident(self, images: int, repeats: int, graph: bool = False) -> list[float]: ...
    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]: ...
    @property
    def max_images(self) -> int: ...
    @property
    def name(self) -> str: ...
    @property
    def architecture(self) -> str: ...

class CudaHeld:
    """A data set on a GPU."""

class CudaPeers:
    """This process's GPU among those of several."""

    def __init__(
        self, library: str, id: bytes, rank: int, size: int, device: int
    ) -> None: ...
    @staticmethod
    def load(library: str) -> None: ...
    @staticmethod
    def make_id(library: str) -> bytes: ...
    def check(self) -> None: ...
    @property
    def is_used(self) -> bool: ...
    def close(self) -> None: ...

class CudaTraining:
    """A training program on a GPU."""

    def __init__(
        self,
        program: TrainingProgram,
        arrays: Mapping[str, NDArray[np.float32]],
        device: int = 0,
        kernels: str = "auto",
        precision: str = "float32",
        peers: CudaPeers | None = None,
        shares: int = 1,
        *,
        threads: int,
    ) -> None: ...
    @property
    def not_finite_at(self) -> int: ...
    def hold(
        self, inputs: Sequence[Any], targets: Sequence[Any], images: int
    ) -> CudaHeld: ...
    def step(
        self,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        losses: NDArray[np.float64],
        lengths: NDArray[np.float64],
        rates: NDArray[np.float64],
        seed: int,
        number: int,
        update: bool,
        part_images: int,
        predicted: bool,
    ) -> tuple[int, str]: ...
    @property
    def begun(self) -> int: ...
    def begin(
        self,
        inputs: Sequence[Any],
        targets: Sequence[Any],
        losses: NDArray[np.float64],
        lengths: NDArray[np.float64],
        rates: NDArray[np.float64],
        seed: int,
        number: int,
        update: bool,
        part_images: int,
        predicted: bool,
    ) -> bool | None: ...
    def finish(
        self, losses: NDArray[np.float64], lengths: NDArray[np.float64]
    ) -> tuple[int, str]: ...
    most_begun: ClassVar[int]
    def run(
        self,
        held: CudaHeld,
        rows: NDArray[np.int32],
        losses: NDArray[np.float64],
        lengths: NDArray[np.float64],
        rates: NDArray[np.float64],
        seed: int,
        number: int,
        part_images: int,
    ) -> tuple[int, str]: ...
    def predict(
        self, inputs: Sequence[Any], images: int, seed: int, number: int
    ) -> list[NDArray[np.float32]]: ...
    def put_predictions(
        self,
        inputs: Sequence[Any],
        images: int,
        seed: int,
        number: int,
        to: Sequence[DeviceArray],
    ) -> bool: ...
    def gradient(self, parameter: str) -> NDArray[np.float32]: ...
    def kept(self, number: int) -> NDArray[np.float32]: ...
    def put_gradient(self, parameter: str, to: DeviceArray) -> None: ...
    def put_kept(self, number: int, to: DeviceArray) -> None: ...
    @property
    def last_images(self) -> int: ...
    def download(self) -> None: ...
    def upload(self) -> None: ...
    def time_steps(self) -> list[float]: ...
    @property
    def kernels(self) -> list[str]: ...
    @property
    def memory_bytes(self) -> int: ...

class CudaPictures:
    """Changes pictures on a GPU."""

    def __init__(self, device: int, threads: int) -> None: ...
    def change(
        self,
        pictures: Any,
        mirrored: NDArray[np.uint8] | None,
        matrices: NDArray[np.float32] | None,
        lenses: NDArray[np.float32] | None,
        cubic: bool,
        folded: bool,
        colours: NDArray[np.float64] | None,
        hidden: NDArray[np.int32] | None,
        adjoint: bool,
        to: DeviceArray,
        chosen: NDArray[np.int32] | None,
        among: int,
    ) -> None: ...
    def either_side(
        self, pictures: Any, directions: Any, apart: float, less: DeviceArray, more: DeviceArray
    ) -> None: ...

class Call:
    """A call with arrays on a GPU."""

    def enqueue(self, stream: int) -> None: ...

class DeviceArray:
    """Results in a GPU's memory, for whoever speaks DLPack."""

    def __init__(
        self, shape: Sequence[int], dtype: str, device: int, ordered: bool = False
    ) -> None: ...
    @property
    def pointer(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def device(self) -> int: ...
    @property
    def is_lent(self) -> bool: ...
    def record(self, stream: int, made_of: object) -> None: ...
    def numpy(self) -> NDArray[Any]: ...
    def __array__(self, dtype: object = None, **options: object) -> NDArray[Any]: ...
    def __dlpack__(self, *, stream: int | None = None, **options: object) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

def devices() -> list[DeviceInfo]: ...
def open_context(device: int | None) -> None: ...
def require_not_forked() -> None: ...
def why_unusable() -> str: ...
def empty_pinned(
    shape: Sequence[int], device: int, dtype: np.dtype[Any]
) -> NDArray[Any] | None: ...
def device_of(pointer: int) -> int: ...
def synchronize(device: int, stream: int) -> None: ...
