"""Models take arrays of other libraries, as they take NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from facegen import Colorizer, DigitClassifier, FormatError, Generator, Pix2Pix
from facegen.networks.colorizer import COLORIZER
from facegen.networks.dcgan import latents
from facegen.networks.pix2pix import PIX2PIX

torch = pytest.importorskip("torch")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


@pytest.mark.parametrize("device", DEVICES)
def test_faces(device: str) -> None:
    generator = Generator(device=device)
    given = latents(range(3))
    faces = generator(torch.from_numpy(given).to(device))
    assert faces.device.type == device
    np.testing.assert_array_equal(faces.cpu().numpy(), generator(given))
    pixels = generator.images(torch.from_numpy(given).to(device))
    np.testing.assert_array_equal(pixels.cpu().numpy(), generator.images(seeds=range(3)))
    with pytest.raises(TypeError, match="latents or seeds"):
        generator.images(given, seeds=[1])


@pytest.mark.parametrize("device", DEVICES)
def test_pictures_of_pictures(device: str) -> None:
    pix2pix = Pix2Pix(PIX2PIX.initial_weights(1), device=device)
    pixels = np.random.default_rng(1).integers(0, 256, (2, 256, 256, 3), np.uint8)
    tensor = torch.from_numpy(pixels).to(device)
    np.testing.assert_array_equal(pix2pix(tensor).cpu().numpy(), pix2pix(pixels))
    values = torch.from_numpy(pixels.astype(np.float32) / 127.5 - 1).to(device)
    assert pix2pix(values).dtype == torch.float32


@pytest.mark.parametrize("device", DEVICES)
def test_colours(device: str) -> None:
    colorizer = Colorizer(COLORIZER.initial_weights(1), device=device)
    given = np.random.default_rng(1).uniform(0, 100, (2, 256, 256)).astype(np.float32)
    planes = colorizer.predict_ab(torch.from_numpy(given).to(device))
    np.testing.assert_array_equal(planes.cpu().numpy(), colorizer.predict_ab(given))


def test_prepared_on_the_host() -> None:
    classifier = DigitClassifier(device="cpu")
    images = np.random.default_rng(1).integers(0, 256, (4, 28, 28), np.uint8)
    np.testing.assert_array_equal(
        classifier(torch.from_numpy(images)).probabilities, classifier(images).probabilities
    )
    with pytest.raises(FormatError, match="the array is on meta"):
        classifier(torch.from_numpy(images).to("meta"))


@pytest.mark.cuda
def test_pictures_on_a_gpu_are_refused_where_they_are_prepared() -> None:
    classifier = DigitClassifier(device="cuda")
    with pytest.raises(FormatError, match="is on cuda:0, and pictures are prepared on the host"):
        classifier(torch.zeros(2, 28, 28, device="cuda"))


def test_a_model_says_what_it_is() -> None:
    assert repr(Generator(device="cpu")) == "<Generator of dcgan on cpu, float32>"
