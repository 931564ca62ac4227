"""What a picture shows, of ImageNet's classes: the model of every network that tells them apart."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, NamedTuple, overload

import numpy as np

from facegen.cached import cached_property
from facegen.networks.model import Model, on_host
from facegen.photos.kinds import rgb_pixels, split_batch
from facegen.shares import chunks

if TYPE_CHECKING:
    from facegen.photos.kinds import FileOrImage, Picture, Several
    from facegen.photos.photo import Photo

CLASSES = 1000  # of ImageNet (ILSVRC 2012)


@cache
def imagenet_names() -> tuple[str, ...]:
    """Words for ILSVRC 2012's classes: WordNet's first, or another where two share it."""
    text = files("facegen.networks").joinpath("imagenet_classes.txt").read_text(encoding="utf-8")
    return tuple(text.splitlines())


class Guess(NamedTuple):
    """What a picture may show."""

    class_id: int  # 0 to 999, of ImageNet's classes; or of the network's own
    probability: float


class Classifier(Model):
    """What a picture shows, of ImageNet's 1,000 classes or those that a network was trained for.

    Parameters
    ----------
    network
        A file of weights of any network that this is the model of (torchvision's SqueezeNets,
        ResNets and VGGs), or a dict of them; what ``facegen fetch squeezenet`` brought if None.
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Examples
    --------
    >>> classifier = Classifier("squeezenet_v1.0.caffemodel")
    >>> classifier("cat.jpg", top=1)
    [Guess(class_id=285, probability=0.53)]
    """

    @overload
    def __call__(self, pictures: FileOrImage, top: int = 5) -> list[Guess]: ...

    @overload
    def __call__(self, pictures: Several, top: int = 5) -> list[list[Guess]]: ...

    @overload
    def __call__(self, pictures: np.ndarray, top: int = 5) -> Any: ...

    def __call__(self, pictures: Any, top: int = 5) -> Any:
        """The most probable classes of a picture, or of each of a batch, best first.

        Parameters
        ----------
        pictures
            A path, a Pillow image or an array (height, width, 3) of uint8; or a batch: a list of
            them, or one array (n, height, width, 3).
        top
            How many classes, 1 to 1,000; all of them where the network has fewer.

        Returns
        -------
        list of Guess; of a batch a list of such lists.

        Raises
        ------
        FormatError
            What is no picture, or another array.
        OSError
            A file cannot be read.
        ValueError
            `top` is out of its range.
        """
        most = max(CLASSES, self.classes)
        if not 1 <= top <= most:
            raise ValueError(f"top must be 1 to {most:,}, not {top}")
        pictures = on_host(pictures)
        items, single = split_batch(pictures)
        guesses = [self.finish(row, top) for row in self.probabilities(items)]
        return guesses[0] if single else guesses

    @cached_property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return self.network.graph().outputs[0].shape.channels

    @property
    def names(self) -> tuple[str, ...] | None:
        """The classes' names: ImageNet's, or those that the network's file has, or None."""
        if self.network.classes is None and self.classes == CLASSES:
            return imagenet_names()
        return self.network.classes

    def probabilities(self, pictures: Any) -> np.ndarray:
        """The probabilities of all classes.

        Parameters
        ----------
        pictures
            As for a call; one is a batch of one.

        Returns
        -------
        (n, 1000) float32, or of as many classes as the network has; each row adds up to 1.

        Raises
        ------
        FormatError, OSError
            As for a call.
        """
        items, _ = split_batch(pictures)
        parts = [
            self.compute([self.prepare(item) for item in part])
            for part in chunks(items, self.runner.batch)
        ]
        return np.concatenate([np.empty((0, self.classes), np.float32), *parts])

    def prepare(self, picture: Picture | Photo) -> np.ndarray:
        """The network's input of a picture, as the network's description has it."""
        assert self.network.prepare is not None  # classifiers' descriptions have it
        return self.network.prepare(rgb_pixels(picture))

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """The probabilities of pictures that are prepared, (n, 1000) float32."""
        probabilities: np.ndarray = self.runner(np.stack(prepared))[:, 0, 0]
        return probabilities

    def finish(self, probabilities: np.ndarray, top: int) -> list[Guess]:
        """The `top` most probable classes of one picture, best first; of equal ones the lowest."""
        order = np.argsort(-probabilities, kind="stable")[:top]
        return [Guess(int(i), float(probabilities[i])) for i in order]
