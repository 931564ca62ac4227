"""Calls with arrays on a GPU, with an engine and a library that only note what is asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from facegen.engine.batch import Form
from facegen.engine.foreign import Library, OnDevice
from facegen.engine.gpu_arrays import MOST_CALLS, GpuCalls
from facegen.nn import Conv2d, Graph, Shape, lower

NHWC = Form("NHWC", False, False)


class Engine:
    """Takes calls, and computes nothing."""

    def require_gpu(self, device: int) -> None:
        assert device == 0

    def __init__(self) -> None:
        self.prepared: list[tuple[Any, ...]] = []
        self.streams: list[int] = []

    def prepare(self, *arguments: Any) -> Engine:
        self.prepared.append(arguments)
        return self

    def enqueue(self, stream: int) -> None:
        self.streams.append(stream)


class Addresses(Library):
    """A library whose arrays are where they are said to be; new ones always lie at 4096."""

    def __init__(self) -> None:
        self.results: list[Sequence[Any]] = []

    def find(self, x: Any) -> OnDevice | None:
        assert isinstance(x, OnDevice)
        return x

    def empty(
        self,
        shape: tuple[int, ...],
        like: Any,
        found: OnDevice,
        channels_last: bool,
        uint8: bool,
    ) -> Any:
        return array(4096, shape, "uint8" if uint8 else "float32")

    def enqueued(self, results: Sequence[Any], sources: Sequence[OnDevice], stream: int) -> None:
        self.results.append(results)


def array(
    pointer: int,
    shape: tuple[int, ...],
    element: str = "float32",
    read_only: bool = False,
    stream: int = 1,
) -> OnDevice:
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= size
    return OnDevice(pointer, 0, element, shape, tuple(strides), read_only, stream, None)


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def calls(engine: Any) -> GpuCalls:
    graph = Graph("small")
    graph.output(graph.add("conv", Conv2d(3, 2, 1), graph.input("x", Shape(4, 5, 3))))
    return GpuCalls(engine, lower(graph, None))


def test_a_call_is_prepared_once_for_the_same_memory(engine: Engine, calls: GpuCalls) -> None:
    library = Addresses()
    for pointer, stream in ((64, 1), (64, 7), (128, 7)):
        x = array(pointer, (2, 4, 5, 3), stream=stream)
        (result,) = calls.enqueue(library, [x], [], [x], NHWC)
        assert result.shape == (2, 4, 5, 2)
        assert library.results[-1] == [result]
    assert engine.streams == [1, 7, 7]
    source = (64, "float32", (4, 5, 3), (60, 15, 3, 1))
    target = (4096, "float32", (4, 5, 2), (40, 10, 2, 1))
    assert engine.prepared[0] == (0, [source], [target], 2)
    assert [sources[0][0] for _, sources, _, _ in engine.prepared] == [64, 128]


def test_pixels_and_planes_reach_the_engine(engine: Engine, calls: GpuCalls) -> None:
    x, y = array(64, (2, 3, 4, 5), "uint8"), array(256, (2, 2, 4, 5), "uint8")
    assert calls.enqueue(Addresses(), [x], [y], [x, y], Form("NCHW", True, True)) == [y]
    (_, (source,), (target,), count) = engine.prepared[0]
    assert source == (64, "pixels", (4, 5, 3), (60, 5, 1, 20))
    assert target == (256, "pixels", (4, 5, 2), (40, 5, 1, 20))
    assert count == 2


def test_few_calls_are_remembered(engine: Engine, calls: GpuCalls) -> None:
    for pointer in [*range(MOST_CALLS + 1), 0]:
        x = array(pointer, (1, 4, 5, 3))
        calls.enqueue(Addresses(), [x], [], [x], NHWC)
    assert len(engine.prepared) == MOST_CALLS + 2


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (array(0, (2, 4, 5, 4)), array(64, (2, 4, 5, 2)), r"expected .* \(n, 4, 5, 3\), found"),
        (array(0, (2, 4, 5, 3)), array(64, (1, 4, 5, 2)), r"out: expected shape \(2, 4, 5, 2\)"),
        (array(0, (2, 4, 5, 3)), array(64, (2, 4, 5, 2), read_only=True), "out is read-only"),
        (array(0, (2, 4, 5, 3), "int64"), array(64, (2, 4, 5, 2)), "found an array of int64"),
    ],
)
def test_what_is_refused(
    engine: Engine, calls: GpuCalls, x: OnDevice, out: OnDevice, message: str
) -> None:
    for _ in range(2):  # it is not remembered either
        with pytest.raises(ValueError, match=message):
            calls.enqueue(Addresses(), [x], [out], [x, out], NHWC)
    assert not engine.streams


def test_outs_that_overlap_themselves_are_refused(engine: Engine, calls: GpuCalls) -> None:
    x, y = array(64, (2, 4, 5, 3)), array(4096, (2, 4, 5, 2))
    y = y._replace(strides=(0, 10, 2, 1))
    with pytest.raises(ValueError, match="out overlaps itself"):
        calls.enqueue(Addresses(), [x], [y], [x, y], NHWC)
