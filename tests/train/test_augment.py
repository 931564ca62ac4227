"""Augmentation, kind by kind."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch (extra [train]) is not installed")

from facegen.train import augment  # noqa: E402
from facegen.train.augment import Augmentation  # noqa: E402

KINDS = {
    "flip": 0.5,
    "translate": 0.2,
    "rotate": 20.0,
    "shear": 15.0,
    "scale": 0.3,
    "stretch": 0.3,
    "lens": 0.3,
    "brightness": 0.3,
    "contrast": 0.5,
    "saturation": 0.8,
    "hue": 60.0,
    "pca": 0.5,
    "cutout": 0.3,
}
ALL_OR_NOTHING = {"flip", "cutout"}


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def smooth_pictures(n: int, side: int = 32) -> torch.Tensor:
    """Pictures without sharp edges, so that resampling blurs them little."""
    coarse = torch.rand(n, 3, 4, 4, generator=random(n)) * 1.6 - 0.8
    return torch.nn.functional.interpolate(coarse, size=side, mode="bicubic").clamp(-1, 1)


PICTURES = smooth_pictures(6)
ONE = torch.ones(6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_pictures_and_is_a_function_of_the_seed(kind: str) -> None:
    change = Augmentation(**{kind: KINDS[kind]})
    changed = change(PICTURES, random(1))
    assert changed.shape == PICTURES.shape and changed.dtype == PICTURES.dtype
    assert torch.isfinite(changed).all() and changed.abs().max() < 4
    assert not torch.equal(changed, PICTURES)
    assert torch.equal(changed, change(PICTURES, random(1)))
    assert not torch.equal(changed, change(PICTURES, random(2)))


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - ALL_OR_NOTHING))
def test_a_weak_change_is_small(kind: str) -> None:
    changed = Augmentation(**{kind: 1e-4})(PICTURES, random())
    torch.testing.assert_close(changed, PICTURES, rtol=0, atol=1e-3)


def test_no_strength_changes_nothing() -> None:
    assert augment.NONE(PICTURES, random()) is PICTURES


@pytest.mark.parametrize("kind", KINDS)
def test_generators_learn_through_it(kind: str) -> None:
    pictures = PICTURES.clone().requires_grad_(True)
    Augmentation(**{kind: KINDS[kind]})(pictures, random()).square().sum().backward()
    assert torch.isfinite(pictures.grad).all() and pictures.grad.abs().sum() > 0


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_strengths_are_checked(strength: float) -> None:
    with pytest.raises(ValueError, match="rotate: expected 0 or more"):
        Augmentation(rotate=strength)


def test_flips_are_exact() -> None:
    which = torch.tensor([True, False] * 3)
    flipped = augment.horizontal_flip(PICTURES, which)
    assert torch.equal(flipped[::2], PICTURES[::2].flip(3))
    assert torch.equal(flipped[1::2], PICTURES[1::2])
    always = Augmentation(flip=1.0)(PICTURES, random())
    assert torch.equal(always, PICTURES.flip(3))


def test_identity_of_the_resampling() -> None:
    for matrix in (
        augment.translation(0 * ONE, 0 * ONE),
        augment.rotation(0 * ONE),
        augment.scaling(ONE),
        augment.stretch(ONE, ONE),
        augment.shear(0 * ONE),
    ):
        assert torch.equal(matrix, torch.eye(3).expand(6, 3, 3))
    same = augment.warp(PICTURES, torch.eye(3).expand(6, 3, 3), lens=0 * ONE)
    torch.testing.assert_close(same, PICTURES, rtol=0, atol=1e-5)


def test_translation_by_whole_pixels() -> None:
    moved = augment.warp(PICTURES, augment.translation(4 / 32 * ONE, -2 / 32 * ONE))
    # 4 pixels to the right, 2 up.
    expected = PICTURES[:, :, 2:, :-4]
    torch.testing.assert_close(moved[:, :, :-2, 4:], expected, rtol=0, atol=1e-5)


def test_a_quarter_turn_clockwise() -> None:
    turned = augment.warp(PICTURES, augment.rotation(90 * ONE))
    torch.testing.assert_close(turned, PICTURES.rot90(-1, (2, 3)), rtol=0, atol=1e-5)


def test_zoom() -> None:
    zoomed = augment.warp(PICTURES, augment.scaling(2 * ONE))
    # Twice as large: the middle half, whose mean is about the same.
    middle = PICTURES[:, :, 8:24, 8:24].mean(dim=(2, 3))
    torch.testing.assert_close(zoomed.mean(dim=(2, 3)), middle, rtol=0, atol=0.01)
    halved = augment.warp(zoomed, augment.scaling(0.5 * ONE))
    inside = (slice(None), slice(None), slice(10, 22), slice(10, 22))
    torch.testing.assert_close(halved[inside], PICTURES[inside], rtol=0, atol=0.05)


def test_stretch_and_shear_leave_one_direction() -> None:
    columns = torch.linspace(-1, 1, 32).expand(6, 3, 32, 32)  # changes along x only
    taller = augment.warp(columns, augment.stretch(ONE, 1.5 * ONE))
    torch.testing.assert_close(taller, columns, rtol=0, atol=1e-5)
    rows = columns.transpose(2, 3)
    leaning = augment.warp(rows, augment.shear(20 * ONE))
    torch.testing.assert_close(leaning, rows, rtol=0, atol=1e-5)
    # The top moves right: there, what was left of a pixel is seen.
    top = augment.warp(columns, augment.shear(20 * ONE))[0, 0, 4, 16]
    assert top < columns[0, 0, 4, 16]


def test_a_lens_keeps_the_centre_and_moves_the_edge() -> None:
    columns = torch.linspace(-1, 1, 32).expand(6, 3, 32, 32)
    barrel = augment.warp(columns, torch.eye(3).expand(6, 3, 3), lens=0.2 * ONE)
    centre = (slice(None), slice(None), slice(15, 17), slice(15, 17))
    torch.testing.assert_close(barrel[centre], columns[centre], rtol=0, atol=1e-2)
    assert (barrel[:, :, 16, 24] > columns[:, :, 16, 24]).all()


def test_crops_of_random_size_and_place() -> None:
    crops = augment.random_resized_crop(PICTURES, 16, random(), scale=(0.5, 0.9))
    assert crops.shape == (6, 3, 16, 16)
    assert crops.max() <= PICTURES.max() + 1e-6 and crops.min() >= PICTURES.min() - 1e-6
    whole = augment.random_resized_crop(PICTURES, 32, random(), scale=(1.0, 1.0))
    torch.testing.assert_close(whole, PICTURES, rtol=0, atol=1e-5)


def test_ten_crops() -> None:
    crops = augment.multi_crop(PICTURES, 24)
    assert crops.shape == (6, 10, 3, 24, 24)
    assert torch.equal(crops[:, 0], PICTURES[:, :, :24, :24])
    assert torch.equal(crops[:, 3], PICTURES[:, :, 8:, 8:])
    assert torch.equal(crops[:, 4], PICTURES[:, :, 4:28, 4:28])
    assert torch.equal(crops[:, 5:], crops[:, :5].flip(4))
    with pytest.raises(ValueError, match="crops of side 33"):
        augment.multi_crop(PICTURES, 33)


def test_average_over_crops() -> None:
    def predict(pictures: torch.Tensor) -> torch.Tensor:
        return pictures.mean(dim=(2, 3))

    found = augment.average_over_crops(predict, PICTURES, 24)
    expected = torch.stack([predict(crop) for crop in augment.multi_crop(PICTURES, 24).unbind(1)])
    torch.testing.assert_close(found, expected.mean(dim=0))


def test_colours_at_rest() -> None:
    for same in (
        augment.brightness(PICTURES, 0 * ONE),
        augment.contrast(PICTURES, ONE),
        augment.saturation(PICTURES, ONE),
        augment.hue(PICTURES, 0 * ONE),
        augment.hue(PICTURES, 360 * ONE),
        augment.pca_jitter(PICTURES, torch.zeros(6, 3), augment.colour_axes(PICTURES)),
    ):
        torch.testing.assert_close(same, PICTURES, rtol=0, atol=1e-5)


def test_colours() -> None:
    assert torch.equal(augment.brightness(PICTURES, 0.25 * ONE), PICTURES + 0.25)
    flat = augment.contrast(PICTURES, 0 * ONE)
    assert (flat.amax(dim=(1, 2, 3)) - flat.amin(dim=(1, 2, 3))).max() < 1e-6
    grey = augment.saturation(PICTURES, 0 * ONE)
    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 1e-6
    # A third of a turn takes red to green; grey stays grey.
    turned = augment.hue(PICTURES, 120 * ONE)
    torch.testing.assert_close(turned, PICTURES.roll(1, dims=1), rtol=0, atol=1e-5)
    torch.testing.assert_close(augment.hue(grey, 77 * ONE), grey, rtol=0, atol=1e-5)


def test_colour_axes_are_the_principal_ones() -> None:
    axes = augment.colour_axes(PICTURES)
    pixels = PICTURES.transpose(0, 1).reshape(3, -1)
    # The axes' outer products sum up to the covariance.
    torch.testing.assert_close(axes.mT @ axes, torch.cov(pixels), rtol=1e-4, atol=1e-5)


def test_cutout_hides_a_square() -> None:
    half = 0.5 * ONE
    hidden = augment.cutout(PICTURES + 2, half, half, 0.25)
    assert (hidden[:, :, 12:20, 12:20] == 0).all()
    assert (hidden == 0).sum() == 6 * 3 * 8 * 8
