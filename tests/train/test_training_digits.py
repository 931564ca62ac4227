"""Training the digit classifier."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from facegen import DigitClassifier, FacegenError, FormatError
from facegen.train import Reports
from facegen.train.digits import train as digits
from facegen.train.digits.distorted import DISTORTION
from facegen.train.split import split


def bars(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Digits for beginners: a bright bar in one of ten places, on noise."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, count).astype(np.uint8)
    images = random.integers(0, 40, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4:24, 4 + 2 * label : 6 + 2 * label] = 255
    return images, labels


def test_it_learns() -> None:
    images, labels = bars(360)
    losses = []
    settings = digits.DigitSettings(epochs=12, batch=20, held_out=60)
    reports = Reports(log_every=15, entry=lambda entry: losses.append(entry["loss"]))
    trained = digits.train(images, labels, settings, 2, reports)
    assert len(losses) == 12 and losses[-1] < 0.7 * losses[0]
    # Shifts of 0.08 * 28 pixels make neighbours alike: chance is 6 of 60, all right is too much.
    assert trained.correct(labels) > 30
    classifier = DigitClassifier(trained.weights, device="cpu")
    np.testing.assert_array_equal(classifier(images[trained.held_out]).digits, trained.guesses)


def test_a_seed_gives_the_same_weights() -> None:
    images, labels = bars(40)

    def weights(seed: int) -> dict[str, np.ndarray]:
        settings = digits.DigitSettings(epochs=1, batch=20, held_out=10, seed=seed)
        return digits.train(images, labels, settings).weights

    first, again, other = weights(1), weights(1), weights(2)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
        assert not np.array_equal(values, other[name])


def test_distortions() -> None:
    random = np.random.default_rng(0)
    images = 0.5 + 0.5 * random.random((5, 28, 28, 1), np.float32)
    some = DISTORTION(images, np.random.default_rng(1))
    np.testing.assert_array_equal(some, DISTORTION(images, np.random.default_rng(1)))
    assert some.min() == 0 and some.max() <= 1  # what comes from outside is black
    assert some[:, 10:18, 10:18].min() > 0.4


def test_what_is_held_out() -> None:
    learned, held_out = split(10_000, 1000)
    assert len(held_out) == 1000 and len(learned) == 9000
    np.testing.assert_array_equal(np.sort(np.concatenate([learned, held_out])), np.arange(10_000))
    np.testing.assert_array_equal(split(10_000, 1000)[1], held_out)
    # A promise: the default network's accuracy is that of these.
    assert held_out[:5].tolist() == [1, 27, 36, 38, 40]
    for count, number in ((10, 0), (10, 10), (0, 1)):
        with pytest.raises(FacegenError, match="expected at least 1 and fewer than"):
            split(count, number)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((9, 27, 28), np.uint8), np.zeros(9, np.uint8), "28x28 pixels, found 27x28"),
        (np.zeros((9, 28, 28), np.uint8), np.zeros(8, np.uint8), "9 images and 8 labels"),
        (np.zeros((9, 28, 28), np.uint8), np.full(9, 10, np.uint8), "0 to 9, found 10 at 0"),
    ],
)
def test_what_does_not_fit(images: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        digits.train(images, labels, digits.DigitSettings(held_out=1))


def test_divergence_is_an_error() -> None:
    settings = digits.DigitSettings(epochs=3, batch=10, held_out=10, learning_rate=1e30)
    with pytest.raises(FacegenError, match="training diverged: step 1 of lenet: .*learning rate"):
        digits.train(*bars(40), settings)


def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path) -> None:
    images, labels = bars(60)
    settings = digits.DigitSettings(epochs=3, batch=20, held_out=10)
    whole = digits.train(images, labels, settings, 1)
    class Stop(Exception):
        pass

    def entry(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):  # after the checkpoint of step 1, in step 2
        reports = Reports(tmp_path, log_every=2, save_seconds=0, entry=entry)
        digits.train(images, labels, settings, 2, reports)
    with pytest.raises(FacegenError, match="--resume goes on from there"):
        digits.train(images, labels, settings, 2, Reports(tmp_path))
    other = dataclasses.replace(settings, dropout=0.3)
    with pytest.raises(FormatError, match="was trained with dropout 0.4, not 0.3"):
        digits.train(images, labels, other, 2, Reports(tmp_path), resume=True)
    with pytest.raises(FormatError, match="was trained with data"):
        digits.train(255 - images, labels, settings, 2, Reports(tmp_path), resume=True)
    again = digits.train(images, labels, settings, 2, Reports(tmp_path), resume=True)
    for name, values in whole.weights.items():
        np.testing.assert_array_equal(again.weights[name], values)
