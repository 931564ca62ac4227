"""Pictures changed on a GPU, and gradients on their way back, are the CPU's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen.train import augment
from facegen.train.augment.change import Change
from facegen.train.augment.places import OnGpu, OnHost, place_of

ALL = augment.Augmentation(
    translate=0.3, rotate=40, shear=10, scale=0.5, stretch=0.3, lens=0.2, brightness=0.3,
    contrast=0.3, saturation=0.6, hue=60, cutout=0.4, flip=0.5,
)  # fmt: skip
GEOMETRY = replace(ALL, brightness=0, contrast=0, saturation=0, hue=0)
GREY = replace(GEOMETRY, cutout=0.2)
# A colour is three products and three sums, each rounded, of numbers below 8.
COLOUR = 8 * 6 * 2.0**-24


def pictures(seed: int, n: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (n, height, width, channels)).astype(np.float32)


def test_the_place_of_the_cpu_is_the_host() -> None:
    x = pictures(0, 3, 8, 8)
    change = ALL.draw(3, np.random.default_rng(0))
    place = place_of("cpu", 1)
    assert isinstance(place, OnHost) and not place.on_device
    np.testing.assert_array_equal(place.changed(x, change), change(x))
    np.testing.assert_array_equal(place.changed_back(x, change), change.adjoint(x))
    directions = pictures(1, 3, 8, 8)
    directions[1] = 0
    less, more = place.either_side(x, directions, 0.5)
    lengths = np.sqrt(np.square(directions).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose((more - less)[0] / 0.5, directions[0] / lengths[0], atol=1e-6)
    np.testing.assert_allclose((more + less) / 2, x, atol=1e-6)
    np.testing.assert_array_equal(less[1], x[1])


@pytest.mark.cuda
@settings(max_examples=20, deadline=None)
@given(
    st.integers(0, 99), st.integers(1, 5), st.integers(1, 33), st.integers(1, 33),
    st.sampled_from(["bilinear", "bicubic"]), st.sampled_from(["mirror", "black"]),
    st.sampled_from([1, 3]),
)  # fmt: skip
def test_geometry_is_the_cpus_to_the_bit(
    seed: int, n: int, height: int, width: int, interpolation: str, border: str, channels: int
) -> None:
    x = pictures(seed, n, height, width, channels)
    policy = replace(GREY, interpolation=interpolation, border=border)
    change = policy.draw(n, np.random.default_rng(seed))
    place = OnGpu(0)
    assert place.changed(x, change).numpy().tobytes() == change(x).tobytes()
    # Up to 16 products of each point are summed: in float32 on the CPU, exactly here.
    expected = change.adjoint(x)
    near = 2.0**-24 * 16 * 16 * height * width * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(place.changed_back(x, change).numpy(), expected, atol=near)


@pytest.mark.cuda
@pytest.mark.parametrize("policy", [GREY, replace(augment.NONE, flip=0.5), augment.NONE])
def test_pictures_that_are_chosen(policy: augment.Augmentation) -> None:
    x, which = pictures(1, 7, 20, 24), np.array([6, 0, 0, 3])
    change, place = policy.draw(4, np.random.default_rng(2)), OnGpu(0)
    there = place.changed(x, Change())
    for given_ in (x, there):
        made = place.changed(given_, change, which).numpy()
        assert made.tobytes() == change(x[which]).tobytes()
    for wrong in ([0, 7, 0, 0], [-1, 0, 0, 0]):
        with pytest.raises(ValueError, match="chosen: expected 0 and more, below 7, found"):
            place.changed(x, change, np.array(wrong))


@pytest.mark.cuda
@pytest.mark.parametrize("threads", [1, 3, 8])
@pytest.mark.parametrize("images", [1, 15, 40])
def test_what_goes_up_in_many_blocks(images: int, threads: int) -> None:
    x = pictures(1, images, 353, 351)  # 1.5 MB each: blocks of 1 MB, filled eight at a time
    place = OnGpu(0, threads)
    for _ in range(3):  # blocks are filled again while they may be on their way
        x = x[::-1].copy()
        assert place.changed(x, Change()).numpy().tobytes() == x.tobytes()


@pytest.mark.cuda
@pytest.mark.parametrize("policy", [ALL, augment.SMALL_SET, replace(augment.NONE, flip=0.5)])
def test_whole_policies(policy: augment.Augmentation) -> None:
    x = pictures(1, 6, 64, 64)
    change = policy.draw(6, np.random.default_rng(2))
    place = OnGpu(0)
    made = place.changed(x, change)
    np.testing.assert_allclose(made.numpy(), change(x), rtol=0, atol=COLOUR)
    expected = change.adjoint(x)
    back = place.changed_back(x, change).numpy()
    np.testing.assert_allclose(back, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert place.changed_back(x, change).numpy().tobytes() == back.tobytes()
    # What is there is taken from there.
    there = place.changed(x, augment.NONE.draw(6, np.random.default_rng(0)))
    assert there.numpy().tobytes() == x.tobytes()
    assert place.changed(there, change).numpy().tobytes() == made.numpy().tobytes()
    assert place.changed_back(there, change).numpy().tobytes() == back.tobytes()


@pytest.mark.cuda
def test_the_adjoint_is_one() -> None:
    """<W x, g> = <x, W' g>, up to the rounding of 64 x 64 x 3 products and their sums."""
    change = replace(GEOMETRY, cutout=0.4).draw(1, np.random.default_rng(5))
    x, g = pictures(1, 1, 64, 64), pictures(2, 1, 64, 64)
    place = OnGpu(0)
    made = place.changed(x, change).numpy().astype(float)
    back = place.changed_back(g, change).numpy().astype(float)
    products = np.abs(made * g).sum()
    assert abs((made * g).sum() - (x * back).sum()) < 2.0**-24 * 16 * products


@pytest.mark.cuda
def test_mirrored_and_warped_at_once() -> None:
    x = pictures(3, 4, 16, 20)
    drawn = augment.SMALL_SET.draw(4, np.random.default_rng(1))
    change = replace(drawn, mirrored=np.array([True, False, True, False]))
    # A point of the mirror image is rounded otherwise, by some 2^-20 of a pixel.
    np.testing.assert_allclose(OnGpu(0).changed(x, change).numpy(), change(x), atol=1e-4)


@pytest.mark.cuda
def test_sides_are_the_hosts() -> None:
    """But for the last bit of a direction's length."""
    x, directions = pictures(1, 3, 5, 7), pictures(2, 3, 5, 7)
    directions[2] = 0
    place, host = OnGpu(0), OnHost(1)
    there = place.either_side(x, directions, 0.3)
    for found, expected in zip(there, host.either_side(x, directions, 0.3), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-7)
    again, _ = place.either_side(there[1], there[0], 0.3)  # of what is there already
    expected, _ = host.either_side(there[1].numpy(), there[0].numpy(), 0.3)
    np.testing.assert_allclose(again.numpy(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.cuda
def test_gradients_that_are_nothing_or_not_finite() -> None:
    change = GEOMETRY.draw(3, np.random.default_rng(0))
    gradient = pictures(0, 3, 8, 8)
    gradient[0] = 0
    gradient[1, 2, 3] = np.inf
    back = OnGpu(0).changed_back(gradient, replace(change, hidden=None)).numpy()
    assert not back[0].any() and np.isnan(back[1]).all() and np.isfinite(back[2]).all()


@pytest.mark.cuda
def test_pictures_that_are_refused() -> None:
    change = ALL.draw(2, np.random.default_rng(0))
    for shape in ((2, 8, 8, 2), (2, 8, 8), (2, 0, 8, 3)):
        with pytest.raises(ValueError, match="pictures"):
            OnGpu(0).changed(np.zeros(shape, np.float32), change)
    with pytest.raises(ValueError, match="three colours"):
        OnGpu(0).changed(np.zeros((2, 8, 8, 1), np.float32), change)
    with pytest.raises(ValueError, match=r"matrix: expected shape \(3, 3, 3\)"):
        OnGpu(0).changed(np.zeros((3, 8, 8, 3), np.float32), change)
