"""The digit classifier."""

from __future__ import annotations

import numpy as np
import pytest

from bench import reference
from engines import GEMM_ENGINES, run_program
from facegen import DigitClassifier, FormatError
from facegen.networks import lenet
from facegen.nn import lower
from tolerance import EPS, SPLIT_PRODUCT, assert_within


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return lenet.initial_weights(4)


@pytest.fixture(scope="module")
def classifier(weights: dict[str, np.ndarray]) -> DigitClassifier:
    return DigitClassifier(weights, device="cpu")


def pixels(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)


def test_the_table() -> None:
    graph = lenet.graph()
    shapes = {node.name: str(node.shape) for node in graph.nodes}
    for name, shape, parameters in (
        ("conv1", "24x24x32", 832),
        ("pool1", "12x12x32", 0),
        ("conv2", "8x8x64", 51_264),
        ("pool2", "4x4x64", 0),
        ("hidden", "1x1x256", 262_400),
        ("score", "1x1x10", 2_570),
    ):
        own = (np.prod(s) for key, s in graph.parameters.items() if key.startswith(f"{name}."))
        assert (shapes[name], sum(own)) == (shape, parameters)
    assert graph.parameter_count == 317_066
    assert [step.name for step in lower(graph, None).steps] == [
        "conv1+relu1", "pool1", "conv2+relu2", "pool2", "hidden+relu3", "score", "softmax"
    ]


@pytest.mark.parametrize("engine", GEMM_ENGINES)
def test_agrees_with_the_definition(engine: str, weights: dict[str, np.ndarray]) -> None:
    graph, x = lenet.graph(), lenet.check_images(pixels(5))
    (expected,) = reference.run_graph(graph, weights, x)
    result = np.full((5, 1, 1, 10), np.nan, np.float32)
    run_program(lower(graph, weights), [x], [result], engine, threads=2)
    # Four layers of at most K = 1024 products with sums of about 1 (weights of variance 2 / K), and
    # probabilities change by no more than half of what their scores do.
    bound = 4 * 2 * (np.sqrt(1024) * EPS + SPLIT_PRODUCT.get(engine, 0.0))
    assert_within(result, expected, bound)


def test_one_image_and_many(classifier: DigitClassifier) -> None:
    images = pixels(70)
    digits, probabilities = classifier(images)
    assert digits.shape == (70,) and probabilities.shape == (70, 10)
    np.testing.assert_array_equal(digits, probabilities.argmax(axis=1))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=10 * EPS)
    for i in (0, 33, 69):
        np.testing.assert_array_equal(classifier(images[i]).probabilities[0], probabilities[i])
    for same in (images[..., None], images / 255, images.astype(np.float32) / np.float32(255)):
        np.testing.assert_array_equal(classifier(same).probabilities, probabilities)
    assert classifier(images[:0]).probabilities.shape == (0, 10)


def test_threads_do_not_change_a_bit(weights: dict[str, np.ndarray]) -> None:
    one, three = (DigitClassifier(weights, device="cpu", threads=n)(pixels(9)) for n in (1, 3))
    np.testing.assert_array_equal(one.probabilities, three.probabilities)


@pytest.mark.parametrize("shape", [(), (28,), (28, 27), (2, 27, 28), (1, 28, 28, 3), (28, 28, 1)])
def test_images_of_another_shape_are_refused(classifier: DigitClassifier, shape: tuple) -> None:
    with pytest.raises(FormatError, match=r"expected shape \(n, 28, 28\)"):
        classifier(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300, -0.01, 255.0])
def test_numbers_outside_are_refused(classifier: DigitClassifier, value: float) -> None:
    images = np.zeros((2, 28, 28))
    images[1, 3, 7] = value
    with pytest.raises(FormatError, match=r"from 0 to 1, found .* at \[1, 3, 7\]"):
        classifier(images)


@pytest.mark.parametrize("kind", ["bool", "int32", "complex64", "U1", "object"])
def test_other_types_are_refused(classifier: DigitClassifier, kind: str) -> None:
    with pytest.raises(FormatError, match="expected uint8, or floats from 0 to 1"):
        classifier(np.zeros((1, 28, 28), kind))
