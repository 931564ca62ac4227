"""The segmentation of people's pictures, and what is written about each."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from facegen.files.json_text import json_text
from facegen.media import voc
from facegen.networks.segmentation import Segmenter
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.pictures.pages import ALL, Pages
from facegen.pictures.task import Made, Task, settings_of

CLASSES = ".png"
_FIT = re.compile(r"\w[\w -]*")
_FALLBACK = re.compile(r"class \d+", re.IGNORECASE)  # of classes without a fit name


@dataclass(frozen=True)
class Parts:
    """What is written beside the class map: suffixes of names, None for what is not."""

    overlay: str | None = None
    areas: str | None = None
    legend: str | None = None
    masks: bool = False  # into a folder, one a class that is there

    @property
    def suffixes(self) -> list[str]:
        """What ends the names of results, for `facegen.pictures.items.items`."""
        return [CLASSES, *filter(None, (self.overlay, self.areas, self.legend))]


def task(
    segmenter: Segmenter,
    parts: Parts,
    strip: bool = False,
    own_size: bool = False,
    pages: Pages = ALL,
) -> Task:
    """Class maps in the size of their pictures; the facts are the areas of the classes.

    With `own_size` they are computed at about that. Overlays keep what the pictures' files say
    besides pixels, unless it is to be stripped.
    """
    made = [*parts.suffixes, *(["masks"] if parts.masks else [])]
    finish = partial(_finish, segmenter, parts, strip)
    options = {"parts": made, "strip": strip, "own_size": own_size, **pages.settings}
    settings = settings_of("segment", segmenter, **options)
    prepare = partial(_prepare, segmenter, own_size)
    work = Task(settings, prepare, segmenter.compute, finish, segmenter.runner.batch)
    return pages.of_task(work)


def _prepare(segmenter: Segmenter, own_size: bool, photo: Photo) -> np.ndarray:
    return segmenter.prepare(photo, own_size)


def _finish(
    segmenter: Segmenter,
    parts: Parts,
    strip: bool,
    photo: Photo,
    small: np.ndarray,
    outputs: tuple[str, ...],
) -> Made:
    classes = segmenter.finish(small, photo.pixels.shape[:2])
    areas = voc.areas(classes, segmenter.names)
    path, *others = outputs
    files = {path: voc.indexed_png(classes)}
    for part, other in zip(parts.suffixes[1:], others, strict=True):
        if part == parts.overlay:
            pixels = voc.overlay(photo.pixels, classes)
            metadata = None if strip else photo.metadata
            files[other] = encode(pixels, other, photo.alpha, photo.profile, metadata)
        elif part == parts.areas:
            height, width = classes.shape
            found = {"width": width, "height": height, "classes": areas}
            files[other] = (json_text(found, indent=2) + "\n").encode()
        else:
            files[other] = encode(voc.legend(areas), other)
    if parts.masks:
        folder = f"{path.removesuffix(CLASSES)}_masks"
        for area in areas:
            mask = voc.mask_png(classes, area["id"])
            files[os.path.join(folder, f"{_file_name(area['id'], segmenter.names)}.png")] = mask
    return Made(files, {"classes": areas})


def _file_name(class_id: int, names: Sequence[str]) -> str:
    """A class's name, if it is fit for a file's; a network's file may have put anything there."""
    name = names[class_id]
    same = [each for each in names if each.casefold() == name.casefold()]
    fits = _FIT.fullmatch(name) and not _FALLBACK.fullmatch(name) and len(os.fsencode(name)) < 200
    return name if fits and len(same) == 1 else f"class {class_id}"
