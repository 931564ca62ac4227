"""Training the colorizer: photos, their colours, and runs."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import FacegenError, FormatError
from facegen.colour.lab import rgb_to_lab
from facegen.engine import Runner
from facegen.networks import colorizer
from facegen.nn import lower
from facegen.train import Reports
from facegen.train.colorizer import train as training
from facegen.train.colorizer.bins import Bins, grid
from facegen.train.colorizer.photos import (
    LONGEST,
    PhotoSample,
    Survey,
    is_grey,
    planes,
    shorter_side,
    survey,
)
from facegen.train.colorizer.train import ColorizerSettings

SMALL = ColorizerSettings(width=2, side=32, epochs=2, batch=2)


def photos(folder: Path, count: int, height: int = 48, width: int = 72) -> list[str]:
    """Photos for beginners: from dark and orange to bright and blue, all between them as often."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    paths = []
    for i in range(count):
        slope = random.uniform(-1, 1, 2)
        y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)
        bright = slope[0] * y + slope[1] * x
        bright = (bright - bright.min()) / np.ptp(bright)
        dark, light = np.array([140, 60, 10]), np.array([150, 190, 250])
        pixels = (dark + bright[..., None] * (light - dark)).astype(np.uint8)
        path = folder / f"{i:03d}.png"
        Image.fromarray(pixels).save(path)
        paths.append(str(path))
    return paths


@pytest.fixture(scope="module")
def bins() -> Bins:
    return Bins(grid())


def test_grey_and_broken_photos_are_counted(tmp_path: Path, bins: Bins) -> None:
    paths = photos(tmp_path / "photos", 3)
    Image.new("L", (40, 40), 99).save(paths[1])
    broken = tmp_path / "photos" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff")
    missing = str(tmp_path / "missing.png")
    told: list[int] = []
    found = survey([*paths, str(broken), missing], bins, told.append)
    assert found.photos == [paths[0], paths[2]] and found.grey == 1
    assert len(found.unreadable) == 2 and sum(told) == 5
    assert "broken.jpg: " in found.unreadable[0] and "No such file" in found.unreadable[1]
    assert found.distribution.sum() == pytest.approx(2 * 64 * 64)
    for none in ([], [paths[1], str(broken)]):
        with pytest.raises(FacegenError, match="expected photos in colour, found"):
            survey(none, bins)


@pytest.mark.parametrize(
    ("colour", "grey"), [((120, 120, 120), True), ((122, 120, 118), True), ((130, 110, 80), False)]
)
def test_which_photos_are_grey(colour: tuple[int, int, int], grey: bool) -> None:
    pixels = np.full((32, 32, 3), colour, np.uint8)
    assert is_grey(rgb_to_lab(pixels)[..., 1:]) is grey
    pixels[:1] = (255, 0, 0)  # less than a twentieth
    assert is_grey(rgb_to_lab(pixels)[..., 1:]) is grey


@pytest.mark.parametrize("size", [(9, 300), (300, 9), (1, 1), (31, 33), (64, 64)])
def test_photos_of_any_size(tmp_path: Path, size: tuple[int, int]) -> None:
    height, width = size
    path = tmp_path / "photo.png"
    Image.new("RGB", (width, height), (200, 80, 40)).save(path)
    sample = PhotoSample([str(path)], 32)
    lightness, ab = sample(0, np.random.default_rng(0))
    assert lightness.shape == (32, 32, 1) and ab.shape == (8, 8, 2)
    expected = rgb_to_lab(np.uint8([200, 80, 40]))
    np.testing.assert_allclose(lightness, expected[0], atol=1e-3)
    np.testing.assert_allclose(ab, np.broadcast_to(expected[1:], ab.shape), atol=1e-3)


@pytest.mark.parametrize("size", [(1, LONGEST + 1), (2 * LONGEST + 1, 2)])
def test_a_strip_is_no_photo(tmp_path: Path, bins: Bins, size: tuple[int, int]) -> None:
    """Its shorter side at 288 pixels, one of 1 x 20,000 would take 5 GB."""
    paths = photos(tmp_path, 1) + photos(tmp_path / "strips", 1, *size)
    found = survey(paths, bins)
    assert found.photos == paths[:1] and len(found.unreadable) == 1
    with pytest.raises(FormatError, match=rf"at most {LONGEST} .*, found {size[1]} x {size[0]}"):
        PhotoSample(paths[1:], 32)(0, np.random.default_rng(0))


def test_proportions_are_kept() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    assert shorter_side(pixels, 36).shape == (36, 54, 3)
    assert shorter_side(pixels.transpose(1, 0, 2), 120).shape == (180, 120, 3)


def test_zoomed_parts_show_less_of_a_photo(tmp_path: Path) -> None:
    """A ramp from black to white: the range of lightness tells how much of it a part has."""
    path = tmp_path / "ramp.png"
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp[None, :, None], (64, 64, 3))).save(path)
    ranges = {}
    for zoom in (1.0, 4.0):
        random = np.random.default_rng(0)
        sample = PhotoSample([str(path)], 32, zoom=zoom)
        ranges[zoom] = [float(np.ptp(sample(0, random)[0])) for _ in range(50)]
    assert np.ptp(ranges[1.0]) < 6
    assert max(ranges[4.0]) > 70 and min(ranges[4.0]) < 30


def test_four_by_four_pixels_share_their_mean_colour() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    lightness, ab = planes(pixels)
    lab = rgb_to_lab(pixels)
    np.testing.assert_array_equal(lightness[..., 0], lab[..., 0])
    np.testing.assert_allclose(ab[1, 2], lab[4:8, 8:12, 1:].mean((0, 1)), rtol=1e-5)


def test_it_learns_which_colour_is_where(tmp_path: Path, bins: Bins) -> None:
    found = survey(photos(tmp_path / "photos", 24), bins)
    losses: list[float] = []
    reports = Reports(log_every=20, entry=lambda entry: losses.append(entry["loss"]))
    settings = dataclasses.replace(SMALL, width=4, epochs=60, batch=4, learning_rate=3e-3)
    weights, kept = training.train(found, settings, 4, None, 2, reports)
    assert losses[-1] < 0.8 * losses[0]
    # Maps of so small a side are all border: the network is good at just that side.
    runner = Runner(lower(colorizer.graph(32, 4), weights), device="cpu")
    sample = PhotoSample(kept, 32)
    lightness, ab = sample(0, np.random.default_rng(0))
    (made,) = runner(lightness[np.newaxis])
    right = ab.repeat(4, axis=0).repeat(4, axis=1)
    off, grey = (np.linalg.norm(each, axis=2).mean() for each in (made - right, right))
    assert off < 0.7 * grey


def test_distances_are_those_of_each_photo(tmp_path: Path) -> None:
    """Of a network that gives all pixels one colour."""
    weights = training.first_weights(SMALL)
    for name in ("conv8_313.weight", "conv8_313.bias"):
        weights[name][...] = 0
    weights["conv8_313.bias"][100] = 50.0
    path = tmp_path / "mine.safetensors"
    training.WIDTHS.write(path, 2, weights)
    files = []
    for i, size in enumerate([(300, 256), (20, 30)]):
        files.append(str(tmp_path / f"{i}.png"))
        Image.new("RGB", size, (200, 80 + 60 * i, 40)).save(files[-1])
    colours = [rgb_to_lab(np.uint8([200, 80 + 60 * i, 40]))[1:] for i in range(2)]
    off, grey = training.distances(path, files, 1)
    assert grey == pytest.approx([np.linalg.norm(ab) for ab in colours], rel=1e-4)
    assert off == pytest.approx([np.linalg.norm(ab - grid()[100]) for ab in colours], rel=1e-4)


def test_scores_of_a_file_are_annealed() -> None:
    weights = training.first_weights(SMALL)
    changed = training.annealed(weights, 0.38)
    for name, array in weights.items():
        factor = 1 / 0.38 if name.startswith("conv8_313.") else 1
        np.testing.assert_allclose(changed[name], array * factor, rtol=1e-6)
    back = training.annealed(changed, 1 / 0.38)
    np.testing.assert_allclose(back["conv8_313.weight"], weights["conv8_313.weight"], rtol=1e-6)


def test_the_temperature_is_the_files_alone(tmp_path: Path, bins: Bins) -> None:
    """What is learned does not depend on it, and only the last scores tell of it."""
    found = survey(photos(tmp_path / "photos", 4), bins)
    mean, bold = (
        training.train(found, dataclasses.replace(SMALL, temperature=temperature), 1)[0]
        for temperature in (1.0, 0.25)
    )
    for name, array in mean.items():
        factor = 4 if name.startswith("conv8_313.") else 1
        np.testing.assert_allclose(bold[name], array * factor, rtol=1e-6)


def test_a_network_is_trained_further(tmp_path: Path, bins: Bins) -> None:
    """With its own points, from where its file stands."""
    found = survey(photos(tmp_path / "photos", 4), bins)
    graph = colorizer.graph(width=2)
    weights = training.first_weights(SMALL)
    order = np.random.default_rng(0).permutation(313)
    weights["model_out.weight"] = np.ascontiguousarray(weights["model_out.weight"][..., order])
    assert weights.keys() == graph.parameters.keys()
    still = dataclasses.replace(SMALL, epochs=1, learning_rate=1e-30, weight_decay=0.0)
    result, _ = training.train(found, still, 1, weights)
    for name, array in weights.items():
        if name.endswith((".mean", ".var")):
            continue  # which move towards those of the photos
        np.testing.assert_allclose(result[name], array, rtol=1e-6, atol=1e-25)


def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path, bins: Bins) -> None:
    found = survey(photos(tmp_path / "photos", 5), bins)
    whole, _ = training.train(found, SMALL, 1, threads=1)

    class Stop(Exception):
        pass

    def entry(_: object) -> None:
        raise Stop

    with pytest.raises(Stop):  # after the checkpoint of step 2, in step 3
        reports = Reports(tmp_path / "run", log_every=3, save_seconds=0, entry=entry)
        training.train(found, SMALL, 1, None, 2, reports)
    reports = Reports(tmp_path / "run")
    fewer = Survey(found.photos[:4], 0, [], found.distribution)
    with pytest.raises(FormatError, match="was trained with photos"):
        training.train(fewer, SMALL, 1, None, 2, reports, resume=True)
    again, _ = training.train(found, SMALL, 1, None, 2, reports, resume=True)
    for name, values in whole.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)


def test_a_photo_that_is_gone(tmp_path: Path, bins: Bins) -> None:
    found = survey(photos(tmp_path / "photos", 6), bins)
    for path in found.photos[:2]:
        os.remove(path)
    said: list[str] = []
    training.train(found, SMALL, 1, reports=Reports(warn=said.append))
    assert said and all("No such file" in line for line in said) and len(said) <= 2


def test_settings_that_are_refused() -> None:
    for changes, message in (
        ({"side": 60}, "side: expected a multiple of 8, found 60"),
        ({"width": 8}, "width: the network to train further has 2, not 8"),
    ):
        with pytest.raises(ValueError, match=message):
            training.check(dataclasses.replace(SMALL, **changes), 2)
