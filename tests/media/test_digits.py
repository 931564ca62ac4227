"""Pictures of digits in the form of MNIST's."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from facegen import DigitClassifier, FormatError
from facegen.media.digits import prepare, read, to_mnist

ODD = Path(__file__).resolve().parents[2].parent / "shared/data/odd-pictures"


def stroke(
    size: tuple[int, int] = (200, 160), ink: str = "black", paper: str = "white", mode: str = "RGB"
) -> Image.Image:
    """Something like a 7, off the middle."""
    picture = Image.new(mode, size, paper)
    points = [(20, 30), (80, 30), (40, 120)]
    ImageDraw.Draw(picture).line(points, ink, 12, joint="curve")
    return picture


def mnist(picture: Image.Image) -> np.ndarray:
    return to_mnist(np.asarray(picture))


def centre(image: np.ndarray) -> np.ndarray:
    pixels = np.indices(image.shape) + 0.5
    return (pixels * image).sum(axis=(1, 2)) / image.sum()


def test_box_and_centre_of_mass() -> None:
    image = mnist(stroke())
    assert image.shape == (28, 28) and image.dtype == np.uint8 and image.max() == 255
    rows, columns = np.flatnonzero(image.max(axis=1)), np.flatnonzero(image.max(axis=0))
    assert np.ptp(rows) + 1 == 20 and 10 < np.ptp(columns) + 1 < 20
    assert np.abs(centre(image) - 14).max() <= 0.5


def test_colours_and_place_do_not_matter() -> None:
    expected = mnist(stroke()).astype(int)
    larger = Image.new("RGB", (300, 400), "white")
    larger.paste(stroke(), (90, 180))
    for same in (
        stroke(ink="white", paper="black"),
        stroke(ink="#404040", paper="#c0c0c0"),
        stroke(mode="L"),
        larger,
    ):
        assert np.abs(mnist(same) - expected).max() <= 2


def test_size_does_not_matter_much() -> None:
    picture = stroke()
    expected = mnist(picture).astype(int)
    for factor in (0.4, 3):
        size = tuple(round(factor * side) for side in picture.size)
        resized = mnist(picture.resize(size, Image.Resampling.LANCZOS))
        assert np.abs(resized - expected).mean() < 8  # of 255


def test_orientation_and_transparency(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (200, 160), (0, 0, 0, 0))
    clear.paste(stroke(mode="RGBA"), (0, 0), stroke(mode="L", ink="white", paper="black"))
    clear.save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read(tmp_path / "clear.png")[0], mnist(stroke()))
    turned = stroke().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read(tmp_path / "turned.png")[0], mnist(stroke()))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(deadline=None)
def test_any_picture(width: int, height: int, seed: int) -> None:
    """An image whose brightest pixel is white, or an error that says why not."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    try:
        image = to_mnist(pixels)
    except FormatError as error:
        assert np.ptp(pixels) < 16 and "expected a digit, found values from" in str(error)
    else:
        assert image.shape == (28, 28) and image.max() == 255


def test_what_people_have(tmp_path: Path) -> None:
    image = stroke()
    image.save(tmp_path / "seven.png")
    expected = mnist(image)
    for one in (image, tmp_path / "seven.png", str(tmp_path / "seven.png")):
        np.testing.assert_array_equal(prepare(one)[0], expected)
        assert prepare([one, image]).shape == (2, 28, 28)
    assert prepare([]).shape == (0, 28, 28)
    classifier = DigitClassifier(device="cpu")
    np.testing.assert_array_equal(
        classifier(tmp_path / "seven.png").probabilities, classifier(expected).probabilities
    )
    assert classifier([image, tmp_path / "seven.png"]).digits.tolist() == [7, 7]
    for other in (7, [[0.0]], None):
        with pytest.raises(FormatError, match="expected a path, a Pillow image or an array, found"):
            classifier(other)


@pytest.mark.parametrize("mode", ["I;16", "LA", "La", "RGBa", "CMYK", "1", "turned"])
def test_pillow_images_are_read_as_files_are(mode: str) -> None:
    """Of any mode; 16 bits are scaled, and an image is turned as its orientation says."""
    grey = stroke(mode="L")
    paper = Image.new("L", grey.size, "black")  # seen nowhere: the alpha is that of the stroke
    images = {
        "I;16": lambda: Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
        "LA": lambda: Image.merge("LA", (paper, grey.point(lambda v: 255 - v))),
        "La": lambda: images["LA"]().convert("La"),
        "RGBa": lambda: images["LA"]().convert("RGBA").convert("RGBa"),
        "CMYK": lambda: stroke().convert("CMYK"),
        "1": lambda: grey.convert("1"),
        "turned": lambda: grey.transpose(Image.Transpose.ROTATE_90),
    }
    image = images[mode]()
    if mode == "turned":
        image.getexif()[0x0112] = 6  # a quarter clockwise makes it upright
    else:
        assert image.mode == mode
    (found,) = prepare(image)
    assert np.abs(found.astype(int) - mnist(grey)).max() <= 2
    assert DigitClassifier(device="cpu")(image).digits.tolist() == [7]


@pytest.mark.skipif(not ODD.exists(), reason=f"{ODD} is not there")
def test_a_digit_of_16_bits() -> None:
    with Image.open(ODD / "digit16.png") as image:
        of_image, of_file = prepare(image), read(ODD / "digit16.png")
    np.testing.assert_array_equal(of_image, of_file)
    assert DigitClassifier(device="cpu")(ODD / "digit16.png").digits.tolist() == [1]


def test_idx_files_are_taken_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), dtype=np.uint8)
    sizes = np.array([3, 28, 28], ">u4").tobytes()
    data = b"\0\0\x08\3" + sizes + images.tobytes()
    path = tmp_path / "images"
    for content in (data, gzip.compress(data)):
        path.write_bytes(content)
        np.testing.assert_array_equal(read(path), images)


def test_what_is_no_digit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = tmp_path / "grey.png"
    Image.new("L", (30, 30), 100).save(grey)
    with pytest.raises(FormatError, match="grey.png: expected a digit, found values from 100 to"):
        read(grey)
    stroke().save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(FormatError, match="large.png: .*more pixels than twice the limit"):
        read(tmp_path / "large.png")
    for data in (b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + bytes(50)):
        grey.write_bytes(data)
        with pytest.raises(FormatError, match="grey.png: (not a picture|cannot be decoded)"):
            read(grey)
