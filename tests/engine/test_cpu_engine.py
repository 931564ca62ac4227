"""How the CPU engine cuts batches; what it computes is tested with the kernels and networks."""

from __future__ import annotations

import numpy as np
import pytest

from facegen import _native
from facegen.engine import cpu
from facegen.engine.cpu import MAX_BATCH, CpuEngine
from facegen.engine.device import Device
from facegen.nn import Graph, ReLU, Shape, Softmax, lower

IMAGE = Shape(4, 4, 8)


class Recorder:
    """In the place of the native executable."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray], threads: int) -> None:
        self.batches.append(len(inputs[0]))


def batches(count: int, max_batch: int | None = None) -> list[int]:
    """Sizes of the pieces of a batch of `count`; an image takes 4 x 4 x 8 floats of the arena."""
    graph = Graph("two steps")
    x = graph.add("softmax", Softmax(), graph.input("x", IMAGE))
    graph.output(graph.add("relu", ReLU(), x))
    engine = CpuEngine(lower(graph, {}), Device("cpu"), 1, "float32", max_batch)
    recorder = Recorder()
    engine._executable = recorder  # type: ignore[assignment]
    engine.run([np.empty((count, *IMAGE), np.float32)], [np.empty((count, *IMAGE))], count)
    return recorder.batches


def test_batches_are_cut() -> None:
    assert batches(2 * MAX_BATCH + 22) == [MAX_BATCH, MAX_BATCH, 22]
    assert batches(5, max_batch=2) == [2, 2, 1]
    assert batches(0) == []


@pytest.mark.parametrize(("images", "expected"), [(3, [3, 3, 1]), (0.5, [1] * 7)])
def test_large_images_come_in_smaller_batches(
    monkeypatch: pytest.MonkeyPatch, images: float, expected: list[int]
) -> None:
    monkeypatch.setattr(cpu, "MAX_ARENA_BYTES", int(images * 4 * IMAGE.floats))
    assert batches(7) == expected


def test_large_results_come_from_a_pool() -> None:
    shape, floats = (64, 1024, 1024, 1), np.dtype(np.float32)
    first = _native.empty_pooled(shape, floats)
    first[:] = 1
    address = first.ctypes.data
    second = _native.empty_pooled(shape, floats)
    assert second.ctypes.data != address  # while somebody holds it, nobody else gets it
    kept = first[3]
    del first
    assert _native.empty_pooled(shape, floats).ctypes.data != address
    np.testing.assert_array_equal(kept[:2, :2], 1)
    del kept, second
    again = [_native.empty_pooled(shape, floats) for _ in range(2)]
    assert address in [x.ctypes.data for x in again]
    assert all(x.flags.writeable and x.shape == shape for x in again)
    with pytest.raises(ValueError, match="negative"):
        _native.empty_pooled((-1,), floats)
    with pytest.raises(MemoryError):
        _native.empty_pooled((1 << 40, 1 << 40), floats)
