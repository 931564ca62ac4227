"""Small stand-ins for networks, so that what is tested is the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from clients import LOCAL

from facegen import Generator, Pix2Pix
from facegen.media import voc
from facegen.networks import NETWORKS
from facegen.networks.lenet import Guesses
from facegen.networks.traits import Traits
from facegen.photos.square import resized


class Negative:
    """In place of a pix2pix: 255 - v."""

    prepare = Pix2Pix.prepare

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        assert prepared[0].dtype == np.uint8
        return [255 - pixels for pixels in prepared]

    def finish(self, pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        return resized(pixels, *size)


class Reddish:
    """In place of a colorizer: strength times 100 in the red channel."""

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((256, 256), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        return np.full((len(prepared), 2, 256, 256), 100, np.float32)

    def finish(
        self,
        pixels: np.ndarray,
        ab: np.ndarray,
        strength: float,
        out: np.ndarray | None = None,
        advance: Callable[[int], None] = print,
    ) -> np.ndarray:
        advance(len(pixels) // 2)
        if pixels.ndim == 2:
            pixels = np.stack([pixels] * 3, axis=2)
        result = pixels.copy() if out is None else out
        result[..., 0] = ab[0, 0, 0] * strength * (257 if pixels.dtype == np.uint16 else 1)
        return result


class Halves:
    """In place of a segmentation: background above, persons below."""

    names = voc.NAMES

    def prepare(self, photo: Any) -> np.ndarray:
        return np.zeros((8, 8, 3), np.float32)

    def compute(self, prepared: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [np.repeat(np.uint8([0, 15]), 32).reshape(8, 8) for _ in prepared]

    def finish(self, classes: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        height, width = size
        return classes[np.arange(height) * 8 // height][:, np.arange(width) * 8 // width]


class Sevens:
    """In place of a classifier of digits: all are sevens."""

    def __call__(self, image: np.ndarray) -> Guesses:
        assert image.shape == (28, 28) and image.dtype == np.uint8
        return Guesses.of(np.eye(10, dtype=np.float32)[7:8])


@pytest.fixture(scope="session")
def generator() -> Generator:
    return Generator(NETWORKS["dcgan"].initial_weights(5), device="cpu")


@pytest.fixture(scope="session")
def traits() -> Traits:
    """Two directions, the second of which is the first one back."""
    direction = np.linspace(-0.2, 0.2, 100, dtype=np.float32)
    return Traits("", {"smile": direction, "frown": -direction})


@pytest.fixture(scope="module")
def application(models: Any) -> Any:
    from facegen.serve.app import create_app

    return create_app(models)


@pytest.fixture
def client(application: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """One that asks as often as it likes; with one loop for all requests, as a server has."""
    from starlette.testclient import TestClient

    from facegen.serve import guard

    monkeypatch.setattr(guard._Bucket, "take", lambda bucket: True)
    with TestClient(application, LOCAL, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="session")
def models(generator: Generator, traits: Traits) -> Any:
    pytest.importorskip("starlette", reason="Starlette (the extra [serve]) is not installed")
    from facegen.serve.models import Models

    return Models(
        generator, Negative(), Reddish(), Halves(), Sevens(), traits,  # type: ignore[arg-type]
        hints={"draw": "a better one: ..."},
    )  # fmt: skip
