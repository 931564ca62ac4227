from __future__ import annotations

import math
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import engines
from bench import reference
from facegen import FormatError, Segmenter
from facegen.networks import segmentation
from facegen.networks.segmentation import SEGMENTATION
from facegen.nn import lower
from tolerance import EPS, SPLIT_PRODUCT, assert_within

# The table of the specification: name, output (height = width, channels), parameters.
TABLE = [
    ("conv1", (111, 96), 14_208),
    ("pool1", (55, 96), 0),
    ("fire2", (55, 128), 11_920),
    ("fire3", (55, 128), 12_432),
    ("fire4", (55, 256), 45_344),
    ("pool4", (27, 256), 0),
    ("fire5", (27, 256), 49_440),
    ("fire6", (27, 384), 104_880),
    ("fire7", (27, 384), 111_024),
    ("fire8", (27, 512), 188_992),
    ("pool8", (13, 512), 0),
    ("fire9", (13, 512), 197_184),
    ("conv10", (13, 1000), 513_000),
    ("score_conv10", (13, 21), 21_021),
    ("score_pool8", (13, 21), 10_773),
    ("conv11", (27, 21), 3_969),
    ("score_pool4", (27, 21), 5_397),
    ("conv12", (55, 21), 3_969),
    ("score_pool1", (55, 21), 2_037),
    ("conv13", (227, 21), 53_361),
]


@pytest.mark.parametrize(("name", "output", "parameters"), TABLE)
def test_a_row_of_the_table(name: str, output: tuple[int, int], parameters: int) -> None:
    size, channels = output
    shapes = {node.name: node.shape for node in segmentation.graph().nodes}
    assert shapes.get(name, shapes.get(f"{name}/concat")) == (size, size, channels)
    own = [
        math.prod(shape)
        for parameter, shape in SEGMENTATION.shapes.items()
        if parameter.startswith((f"{name}.", f"{name}/"))
    ]
    assert sum(own) == parameters


def test_the_parameters_in_all() -> None:
    graph = segmentation.graph()
    assert graph.parameter_count == 1_348_951
    assert sum(parameters for _, _, parameters in TABLE) == 1_348_951


def test_relu_concat_and_sums_are_fused() -> None:
    program = lower(segmentation.graph(), None)
    assert len(program.steps) == 36  # 33 convolutions, 3 pools
    assert program.flops == segmentation.graph().flops


def bound(engine: str, scale: float) -> float:
    """Largest error of a logit, for logits of that size.

    28 layers deep at most, each a sum of up to K = 4,608 products of about one scale; no layer
    amplifies errors by more than about 2.
    """
    return 2 * 28 * (np.sqrt(4608) * EPS + SPLIT_PRODUCT.get(engine, 0.0)) * scale


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return SEGMENTATION.initial_weights(1)


@pytest.fixture(scope="module")
def segmenter(weights: dict[str, np.ndarray]) -> Segmenter:
    return Segmenter(weights, device="cpu")


def pictures(count: int, height: int = 200, width: int = 310) -> np.ndarray:
    """Smooth (count, height, width, 3) uint8."""
    y, x = np.mgrid[:height, :width] / 50
    planes = [
        np.sin(y * (i % 3 + 1) + k) * np.cos(x + k + i) for i in range(count) for k in range(3)
    ]
    values = np.stack(planes, axis=-1).reshape(height, width, count, 3)
    return np.uint8(np.rint(127.5 + 127 * values)).transpose(2, 0, 1, 3)


@pytest.fixture(scope="module")
def naive(weights: dict[str, np.ndarray], segmenter: Segmenter) -> tuple[np.ndarray, np.ndarray]:
    """Two prepared pictures and their logits in float64."""
    x = np.stack([segmenter.prepare(one) for one in pictures(2)])
    return x, reference.run_graph(segmentation.graph(), weights, x)[0]


@pytest.mark.parametrize("engine", engines.GEMM_ENGINES)
def test_agrees_with_the_naive_network(
    engine: str, weights: dict[str, np.ndarray], naive: tuple[np.ndarray, np.ndarray]
) -> None:
    x, want = naive
    logits = np.full(want.shape, np.nan, np.float32)
    engines.run_program(lower(segmentation.graph(), weights), [x], [logits], engine, 2)
    limit = bound(engine, float(np.abs(want).max()))
    assert_within(logits, want, limit)
    classes = np.full((*want.shape[:3], 1), np.nan, np.float32)
    engines.run_program(lower(segmentation.class_graph(), weights), [x], [classes], engine, 2)
    # The same class, but for logits that are equal as float16, in which argmax reads them there.
    chosen = np.take_along_axis(logits, classes.astype(np.int64), axis=-1)
    ties = 2.0**-10 * np.abs(logits).max() if "float16" in engine else 0.0
    assert (logits.max(axis=-1, keepdims=True) - chosen).max() <= ties
    # Where the best class leads by more than both errors, rounding cannot change it.
    best, second = np.sort(want, axis=-1)[..., :-3:-1].transpose(3, 0, 1, 2)
    clear = best - second > 2 * limit
    assert (classes[..., 0] == want.argmax(axis=-1))[clear].all()
    assert engine not in engines.ISAS or clear.mean() > 0.5


def test_seeded_class_maps_have_several_classes(segmenter: Segmenter) -> None:
    assert len(np.unique(segmenter(pictures(1)[0]))) > 3


def test_a_class_map_has_the_pictures_size(segmenter: Segmenter) -> None:
    picture = pictures(1, 300, 451)[0]
    classes = segmenter(picture)
    assert classes.shape == (300, 451) and classes.dtype == np.uint8 and classes.max() < 21
    small = segmenter.classes(segmenter.prepare(picture)[np.newaxis])[0]
    assert small.shape == (227, 227)
    # Nearest, with half-pixel centres.
    rows = ((np.arange(300) + 0.5) * 227 / 300).astype(int)
    columns = ((np.arange(451) + 0.5) * 227 / 451).astype(int)
    np.testing.assert_array_equal(classes, small[np.ix_(rows, columns)])


def test_at_its_own_size_nothing_is_resized(segmenter: Segmenter) -> None:
    picture = pictures(1, 227, 227)[0]
    prepared = segmenter.prepare(picture)
    np.testing.assert_array_equal(prepared, picture - np.float32([123, 117, 104]))
    logits = segmenter.logits(prepared[np.newaxis])
    assert logits.shape == (1, 227, 227, 21)
    np.testing.assert_array_equal(segmenter(picture), logits[0].argmax(axis=-1))


def test_kinds_of_pictures(segmenter: Segmenter, tmp_path: Path) -> None:
    batch = pictures(3, 20, 30)
    one = segmenter(batch[0])
    Image.fromarray(batch[0]).save(tmp_path / "one.png")
    for same in (tmp_path / "one.png", str(tmp_path / "one.png"), Image.fromarray(batch[0])):
        np.testing.assert_array_equal(segmenter(same), one)
    maps = segmenter(batch)
    assert maps.shape == (3, 20, 30)
    np.testing.assert_array_equal(maps[0], one)
    listed = segmenter([batch[0], batch[1, :10]])
    assert [found.shape for found in listed] == [(20, 30), (10, 30)]
    assert segmenter([]) == [] and segmenter(batch[:0]).shape == (0, 20, 30)
    with pytest.raises(FormatError, match="expected uint8"):
        segmenter(batch.astype(np.float32))


def test_neither_batch_nor_threads_change_a_bit(
    segmenter: Segmenter, weights: dict[str, np.ndarray]
) -> None:
    x = np.stack([segmenter.prepare(one) for one in pictures(3)])
    logits = segmenter.logits(x)
    alone = Segmenter(weights, device="cpu", threads=1)
    for i in range(3):
        np.testing.assert_array_equal(alone.logits(x[i : i + 1])[0], logits[i])


def test_pickle(segmenter: Segmenter) -> None:
    picture = pictures(1)[0]
    segmenter.logits(segmenter.prepare(picture)[np.newaxis])
    copy = pickle.loads(pickle.dumps(segmenter))
    np.testing.assert_array_equal(copy(picture), segmenter(picture))
