from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from facegen.media import voc


def test_the_palette_is_pascal_vocs() -> None:
    """Against the published colours of the classes, and of the borders."""
    published = [
        (0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128),
        (0, 128, 128), (128, 128, 128), (64, 0, 0), (192, 0, 0), (64, 128, 0), (192, 128, 0),
        (64, 0, 128), (192, 0, 128), (64, 128, 128), (192, 128, 128), (0, 64, 0), (128, 64, 0),
        (0, 192, 0), (128, 192, 0), (0, 64, 128),
    ]  # fmt: skip
    colours = voc.palette()
    assert colours.shape == (256, 3) and colours.dtype == np.uint8
    assert [tuple(row) for row in colours[:21].tolist()] == published
    assert colours[255].tolist() == [224, 224, 192]
    assert len({tuple(row) for row in colours.tolist()}) == 256
    assert len(voc.NAMES) == 21 and voc.NAMES[8] == "cat" and voc.NAMES[20] == "tvmonitor"


def class_map() -> np.ndarray:
    classes = np.zeros((4, 5), np.uint8)
    classes[0, :3], classes[1, 0] = 15, 8
    return classes


def test_an_indexed_png_holds_the_classes_themselves() -> None:
    classes = np.arange(21, dtype=np.uint8).reshape(3, 7)
    image = Image.open(io.BytesIO(voc.indexed_png(classes)))
    assert image.mode == "P" and image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image), classes)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc.palette()[classes])


def test_a_mask() -> None:
    image = Image.open(io.BytesIO(voc.mask_png(class_map(), 15)))
    assert image.mode == "L"
    np.testing.assert_array_equal(np.asarray(image), np.uint8(255) * (class_map() == 15))


def test_an_overlay_leaves_the_background_alone() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    laid = voc.overlay(pixels, class_map())
    assert laid.dtype == np.uint8
    np.testing.assert_array_equal(laid[class_map() == 0], pixels[class_map() == 0])
    person = class_map() == 15
    expected = (pixels[person].astype(int) + [192, 128, 128]) / 2
    assert np.abs(laid[person] - expected).max() <= 0.5
    np.testing.assert_array_equal(voc.overlay(pixels, class_map(), opacity=0), pixels)


def test_areas_are_of_all_classes_there_the_largest_first() -> None:
    areas = voc.areas(class_map())
    assert all(type(area["share"]) is float for area in areas)
    assert json.loads(json.dumps(areas)) == [
        {"id": 0, "name": "background", "pixels": 16, "share": 0.8},
        {"id": 15, "name": "person", "pixels": 3, "share": 0.15},
        {"id": 8, "name": "cat", "pixels": 1, "share": 0.05},
    ]


@pytest.mark.parametrize("count", [1, 21])
def test_a_legend_shows_every_colour(count: int) -> None:
    areas = voc.areas(np.arange(count, dtype=np.uint8).reshape(1, -1))
    picture = voc.legend(areas)
    there = {tuple(colour) for colour in picture.reshape(-1, 3).tolist()}
    assert {tuple(colour) for colour in voc.palette()[:count].tolist()} <= there
