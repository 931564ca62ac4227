"""What networks make of a picture that is kept: each tells how far it is (`jobs.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from facegen.media import voc
from facegen.networks.colorizer import Colorizer
from facegen.networks.pix2pix import Pix2Pix, Size
from facegen.networks.segmentation import Segmenter
from facegen.photos.encode import encode
from facegen.photos.photo import Photo
from facegen.serve.jobs import Tell
from facegen.serve.shelf import Kept, small


def find_colours(kept: Kept, model: Colorizer, tell: Tell) -> dict[str, Any]:
    """The planes a and b, which colour it at any strength and size."""
    tell(0.0, "reading the picture")
    with kept.decoded() as photo:
        tell(0.5, "preparing")
        prepared = model.prepare(photo)
    tell(0.6, "finding colours")
    (kept.colours,) = model.compute([prepared])
    return {}


def colour_file(kept: Kept, model: Colorizer, strength: float, tell: Tell) -> dict[str, Any]:
    """colour.png: the picture in colour at its full size, with what its file says."""
    planes = kept.colours
    tell(0.0, "reading the picture")
    with kept.decoded(keep_depth=True) as photo:
        height, done = len(photo.pixels), 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            tell(0.3 + 0.3 * done / height, "colouring")

        advance(0)
        pixels = coloured(photo, model, planes, strength, advance)
        tell(0.6, "writing the file")
        data = encode(pixels, "colour.png", photo.alpha, photo.profile, photo.metadata)
    tell(0.95, "keeping the file")
    return _made(kept, {"colour.png": data})


def coloured(
    photo: Photo,
    model: Colorizer,
    ab: np.ndarray,
    strength: float,
    advance: Callable[[int], None] = lambda rows: None,
) -> np.ndarray:
    """The photo in colour, of 16 bits where it has them; its own pixels are written over."""
    grey = photo.pixels if photo.deep is None else photo.deep
    out = grey if grey.ndim == 3 else None
    return model.finish(grey, ab, strength, out=out, advance=advance)


def find_segments(kept: Kept, model: Segmenter, tell: Tell) -> dict[str, Any]:
    """classes.png, a class a pixel with VOC's palette; overlay.png, for a screen; areas."""
    tell(0.0, "reading the picture")
    with kept.decoded() as photo:
        size = photo.pixels.shape[:2]
        prepared = model.prepare(photo)
    tell(0.4, "looking")
    (found,) = model.compute([prepared])
    tell(0.8, "writing the files")
    classes = model.finish(found, size)
    shown = model.finish(found, kept.preview().shape[:2])
    files = {"classes.png": voc.indexed_png(classes), "overlay.png": _overlay(shown)}
    areas = [
        {"name": area["name"], "share": area["share"], "colour": voc.palette()[area["id"]].tolist()}
        for area in voc.areas(classes, model.names)
    ]
    return {**_made(kept, files), "areas": areas}


def draw_file(kept: Kept, model: Pix2Pix, size: Size, tell: Tell) -> dict[str, Any]:
    """drawn.png: what the network draws, at the picture's own form; and a JPEG for a screen."""
    tell(0.0, "reading the picture")
    with kept.decoded() as photo:
        full = photo.pixels.shape[:2]
        prepared = model.prepare(photo, size)
    height, width = prepared.shape[:2]
    tell(0.2, f"drawing at {width} x {height}")
    (pixels,) = model.compute([prepared])
    tell(0.8, "writing the files")
    pixels = model.finish(pixels, full)
    screen = encode(small(pixels), "drawn.jpg")
    files = {"drawn.png": encode(pixels, "drawn.png"), "drawn.jpg": screen}
    return _made(kept, files)


def _made(kept: Kept, files: dict[str, bytes]) -> dict[str, Any]:
    for name, data in files.items():
        kept.put(name, data)
    return {"files": list(files)}


def _overlay(classes: np.ndarray) -> bytes:
    """The colours of classes, and nothing where the background is."""
    alpha = np.where(classes == voc.BACKGROUND, 0, 255).astype(np.uint8)
    return encode(voc.palette()[classes], "overlay.png", alpha)
