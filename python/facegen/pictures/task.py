"""A command's work on one picture, cut where the network takes over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Protocol

import numpy as np

from facegen.engine import Runner
from facegen.engine.memory import check_memory
from facegen.pictures.memory import pixels_of_8_bits
from facegen.weights import digest

if TYPE_CHECKING:
    from facegen.photos.frames import Frames
    from facegen.photos.joined import Picture
    from facegen.photos.photo import Photo

_PHOTO_BYTES = 10  # of each pixel, as measured (docs/pictures.md)


@dataclass(frozen=True)
class Made:
    """What came of one picture.

    Attributes
    ----------
    files
        Path -> content, bytes or an open file, which is read from its beginning: every output of
        the item. More are allowed, where names depend on what is found in the picture; those of an
        earlier run go with the outputs where their names begin as an output's without its
        extension.
    facts
        For the report, as JSON has values.
    """

    files: Mapping[str, bytes | IO[bytes]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class PictureModel(Protocol):
    """What a task needs of a model; see `facegen.networks.model.Model` for the attributes."""

    weights: dict[str, np.ndarray]
    runner: Runner

    @property
    def arithmetic(self) -> dict[str, Any]: ...

    def prepare(self, picture: Photo) -> np.ndarray:
        """The network's input of one picture."""

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        """What the network makes of several, a row each."""


def settings_of(command: str, model: Any, **options: Any) -> dict[str, Any]:
    """What the results of a model depend on besides its input, for `Task` and manifests."""
    return {"command": command, "network": digest(model.weights), **model.arithmetic, **options}


def counted_pixels(data: bytes, deep: bool = False) -> int:
    """The pixels of 8 bits that a photo counts for in memory; `deep` where 16 bits are kept."""
    from facegen.photos import photo as photos  # which loads Pillow: faces are of no photo

    height, width = photos.size(data)
    pixels = pixels_of_8_bits(height, width, deep)
    # Only above Pillow's own limit is there so much to take; what is free now is no promise.
    check_memory(pixels * _PHOTO_BYTES, f"{width:,} x {height:,} pixels")
    return pixels


def _decode(data: bytes) -> Photo:
    from facegen.photos import photo as photos

    return photos.decode(data)


def _one(data: bytes) -> None:
    return None


@dataclass(frozen=True)
class Task:
    """What a picture command does.

    Attributes
    ----------
    settings
        All that results depend on besides the picture: the command's name, the digest of the
        weights, options. Results of other settings are made anew.
    prepare
        A photo to the network's input. Runs in several threads at once.
    compute
        Inputs of up to `batch` photos to as many outputs (an array's rows, a list's entries). Runs
        in one thread.
    finish
        A photo, the network's output for it and the paths of the item's outputs to the results.
        Runs in several threads at once.
    batch
        Most inputs computed at once. Results must not depend on it.
    pixels, decode
        A file's content to the pixels of 8 bits that it counts for in memory, by its header, and to
        the photo; a command may take files of another kind, and has what it decodes in the place of
        photos then. Both run in several threads at once.
    frames
        A file's content to its several pictures, each of which is done; None where it is one, or
        of a command that takes the first.
    picture
        A photo, the network's output for it and an output's path to what is written there: of
        commands whose pictures can be pages of one file.
    numbered
        Pages that a result's format cannot hold become a file each; else they are an error.
    least_pixels
        What any photo counts for in memory, by the network's input and output of it.

    What any of them raises fails this picture alone, in `compute` after a second try without the
    others of its batch; but for failures of the device or the machine, which end the run.

    For several ranks it must be picklable: functions of a module, `functools.partial` of them.
    """

    settings: Mapping[str, Any]
    prepare: Callable[[Any], Any]
    compute: Callable[[list[Any]], Any]
    finish: Callable[[Any, Any, tuple[str, ...]], Made]
    batch: int = 8
    pixels: Callable[[bytes], int] = counted_pixels
    decode: Callable[[bytes], Any] = _decode
    frames: Callable[[bytes], Frames | None] = _one
    picture: Callable[[Any, Any, str], Picture] | None = None
    numbered: bool = False
    least_pixels: int = 0

    @classmethod
    def of_model(
        cls,
        command: str,
        model: PictureModel,
        finish: Callable[[Any, Any, tuple[str, ...]], Made],
        **options: Any,
    ) -> Task:
        """A command's task with the model's own `prepare` and `compute`, and these options."""
        settings = settings_of(command, model, **options)
        return cls(settings, model.prepare, model.compute, finish, model.runner.batch)
