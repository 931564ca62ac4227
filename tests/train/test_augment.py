"""Augmentation, kind by kind."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen import _native
from facegen.train import augment
from facegen.train.augment import Augmentation
from facegen.train.augment.change import _AXES, Change, joined
from facegen.train.augment.colour import colour_axes
from facegen.train.augment.geometry import affine

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
ISAS = _native.available_isas("strict")


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def smooth_pictures(n: int, side: int = 32) -> np.ndarray:
    """Pictures without sharp edges, so that resampling blurs them little."""
    coarse = (random(n).random((n, 4, 4, 3)) * 1.6 - 0.8).astype(np.float32)
    identity = np.tile(np.eye(3), (n, 1, 1))
    return augment.warp(coarse, identity, side=side, interpolation="bicubic").clip(-1, 1)


PICTURES = smooth_pictures(6)
SAME = np.tile(np.eye(3), (6, 1, 1))
ONE = np.ones(6)
AXES = colour_axes(PICTURES)


def close(a: np.ndarray, b: np.ndarray, atol: float = 1e-5) -> None:
    np.testing.assert_allclose(a, b, rtol=0, atol=atol)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_changes_pictures_and_is_a_function_of_the_seed(kind: str) -> None:
    change = Augmentation(**{kind: KINDS[kind]})
    before = PICTURES.copy()
    changed = change(PICTURES, random(1))
    assert changed.shape == PICTURES.shape and changed.dtype == PICTURES.dtype
    assert np.isfinite(changed).all() and np.abs(changed).max() < 4
    assert not np.array_equal(changed, PICTURES) and np.array_equal(PICTURES, before)
    assert np.array_equal(changed, change(PICTURES, random(1), threads=2))
    assert not np.array_equal(changed, change(PICTURES, random(2)))


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - ALL_OR_NOTHING))
def test_a_weak_change_is_small(kind: str) -> None:
    close(Augmentation(**{kind: 1e-4})(PICTURES, random()), PICTURES, 1e-3)


def test_no_strength_changes_nothing() -> None:
    assert augment.NONE(PICTURES, random()) is PICTURES


def test_a_picture_is_a_function_of_seed_epoch_and_index() -> None:
    policy = Augmentation(**KINDS, axes=AXES)
    whole = policy(PICTURES, augment.generators(3, 1, range(6)))
    close(policy(PICTURES[[4, 1]], augment.generators(3, 1, [4, 1])), whole[[4, 1]], 0)
    assert not np.array_equal(policy(PICTURES, augment.generators(3, 2, range(6))), whole)
    with pytest.raises(ValueError, match="expected 1 generator or 6, found 2"):
        policy(PICTURES, augment.generators(3, 1, [4, 1]))


def test_amounts_do_not_depend_on_the_other_kinds() -> None:
    """All kinds at once are what they are one after another."""
    at_once = Augmentation(**KINDS, axes=AXES).draw(6, random(5))
    geometry = ["flip", "translate", "rotate", "shear", "scale", "stretch"]
    alone = {k: Augmentation(**{k: KINDS[k]}, axes=AXES).draw(6, random(5)) for k in KINDS}
    chain = np.where(alone["flip"].mirrored[:, None, None], np.diag([-1, 1, 1]), np.eye(3))
    for kind in geometry[1:]:
        chain = chain @ alone[kind].matrix
    close(at_once.matrix, chain, 1e-12)
    np.testing.assert_array_equal(at_once.lens, alone["lens"].lens)
    expected = PICTURES
    for kind in ("brightness", "contrast", "saturation", "hue", "pca", "cutout"):
        expected = alone[kind](expected)
    colours = {k: KINDS[k] for k in KINDS if k not in (*geometry, "lens")}
    close(Augmentation(**colours, axes=AXES)(PICTURES, random(5)), expected, 1e-5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_adjoint(kind: str, interpolation: str) -> None:
    """<A x + b, y> - <b, y> = <x, A^T y>, of sums of 18,432 products of float32."""
    policy = Augmentation(**{kind: KINDS[kind]}, axes=AXES, interpolation=interpolation)
    change = policy.draw(6, random(1))
    y = random(2).standard_normal(PICTURES.shape, np.float32)
    moved = change(PICTURES).astype(float) - change(np.zeros_like(PICTURES))
    forward, backward = (moved * y).sum(), (PICTURES.astype(float) * change.adjoint(y)).sum()
    scale = np.linalg.norm(PICTURES) * np.linalg.norm(y)
    assert abs(forward - backward) < 1e-6 * scale
    assert np.array_equal(change.adjoint(y, threads=2), change.adjoint(y, threads=1))


@pytest.mark.parametrize("strength", [-0.1, float("nan"), float("inf")])
def test_strengths_are_checked(strength: float) -> None:
    with pytest.raises(ValueError, match="rotate: expected 0 or more"):
        Augmentation(rotate=strength)


def test_arguments_are_checked() -> None:
    for call, message in (
        (lambda: augment.warp(PICTURES.astype(float), SAME), "expected float32"),
        (lambda: augment.warp(PICTURES[0], SAME), r"expected float32 of shape \(n, h, w, c\)"),
        (lambda: augment.warp(PICTURES[..., :2], SAME), "must have shape"),
        (lambda: augment.warp(PICTURES, SAME[:5]), r"matrix: expected shape \(6, 3, 3\)"),
        (lambda: augment.warp(PICTURES, SAME * np.nan), "matrix: expected finite"),
        (lambda: augment.warp(PICTURES, SAME, ONE[:2]), r"lens: expected shape \(6,\)"),
        (lambda: augment.warp(PICTURES, SAME, side=0), "sides of 1 to"),
        (lambda: augment.warp(PICTURES, SAME, interpolation="nearest"), "interpolation: expected"),
        (lambda: augment.warp(PICTURES, SAME, border="white"), "border: expected"),
        (lambda: augment.warp(PICTURES, SAME, threads=0), "threads must be at least 1"),
        (lambda: augment.hue(PICTURES[..., :1], ONE), "three colours"),
        (lambda: Augmentation(pca=0.1).draw(6, random()), "pca takes the axes"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_flips_are_exact() -> None:
    which = np.array([True, False] * 3)
    flipped = augment.horizontal_flip(PICTURES, which)
    assert np.array_equal(flipped[::2], PICTURES[::2, :, ::-1])
    assert np.array_equal(flipped[1::2], PICTURES[1::2])
    always = Augmentation(flip=1.0)(PICTURES, random())
    assert np.array_equal(always, PICTURES[:, :, ::-1])


def test_identity_of_the_resampling() -> None:
    for matrix in (
        augment.translation(0 * ONE, 0 * ONE),
        augment.rotation(0 * ONE),
        augment.scaling(ONE),
        augment.stretch(ONE, ONE),
        augment.shear(0 * ONE),
    ):
        assert np.array_equal(matrix, SAME)
    close(augment.warp(PICTURES, SAME, lens=0 * ONE), PICTURES)


def test_translation_by_whole_pixels() -> None:
    moved = augment.warp(PICTURES, augment.translation(4 / 32 * ONE, -2 / 32 * ONE))
    close(moved[:, :-2, 4:], PICTURES[:, 2:, :-4])  # 4 pixels to the right, 2 up


def test_a_quarter_turn_clockwise() -> None:
    turned = augment.warp(PICTURES, augment.rotation(90 * ONE))
    close(turned, np.rot90(PICTURES, -1, (1, 2)))


def test_zoom() -> None:
    zoomed = augment.warp(PICTURES, augment.scaling(2 * ONE))
    # Twice as large: the middle half, whose mean is about the same.
    close(zoomed.mean(axis=(1, 2)), PICTURES[:, 8:24, 8:24].mean(axis=(1, 2)), 0.01)
    halved = augment.warp(zoomed, augment.scaling(0.5 * ONE))
    close(halved[:, 10:22, 10:22], PICTURES[:, 10:22, 10:22], 0.05)


def test_stretch_and_shear_leave_one_direction() -> None:
    line = np.linspace(-1, 1, 32, dtype=np.float32)
    columns = np.tile(line[None, None, :, None], (6, 32, 1, 3))  # changes along x only
    close(augment.warp(columns, augment.stretch(ONE, 1.5 * ONE)), columns)
    rows = columns.transpose(0, 2, 1, 3)
    close(augment.warp(rows, augment.shear(20 * ONE)), rows)
    # The top moves right: there, what was left of a pixel is seen.
    top = augment.warp(columns, augment.shear(20 * ONE))[0, 4, 16, 0]
    assert top < columns[0, 4, 16, 0]


def test_affine_is_the_product() -> None:
    x, y, turn, lean, wide, high = np.random.default_rng(0).uniform(0.2, 1.5, (6, 9))
    product = (
        augment.translation(x, y) @ augment.rotation(turn) @ augment.shear(lean)
        @ augment.stretch(wide, high)
    )  # fmt: skip
    np.testing.assert_allclose(affine(x, y, turn, lean, wide, high), product, atol=1e-14)


def test_a_lens_keeps_the_centre_and_moves_the_edge() -> None:
    line = np.linspace(-1, 1, 32, dtype=np.float32)
    columns = np.tile(line[None, None, :, None], (6, 32, 1, 3))
    barrel = augment.warp(columns, SAME, lens=0.2 * ONE)
    close(barrel[:, 15:17, 15:17], columns[:, 15:17, 15:17], 1e-2)
    assert (barrel[:, 16, 24] > columns[:, 16, 24]).all()


def test_perspective() -> None:
    """The last row divides: a point p shows what is at p / (1 + x / 2)."""
    matrix = np.tile([[1.0, 0, 0], [0, 1, 0], [0.5, 0, 1]], (1, 1, 1))
    line = ((np.arange(64) + 0.5) / 32 - 1).astype(np.float32)
    columns = np.tile(line[None, None, :, None], (1, 64, 1, 3))
    found = augment.warp(columns, matrix)[0, 32, :, 0]
    inside = line / (1 + 0.5 * line)
    close(found[32:], inside[32:], 1e-5)


def test_points_at_no_place_and_far_away_are_of_the_picture() -> None:
    nowhere = np.tile([[1.0, 0, 0], [0, 1, 0], [0, 0, 0]], (6, 1, 1))
    far = augment.translation(1e30 * ONE, -1e6 * ONE)
    for matrix in (nowhere, far):
        for interpolation in ("bilinear", "bicubic"):
            found = augment.warp(PICTURES, matrix, interpolation=interpolation)
            assert np.isfinite(found).all() and np.abs(found).max() < 2


def test_crops_of_random_size_and_place() -> None:
    crops = augment.random_resized_crop(PICTURES, 16, random(), scale=(0.5, 0.9))
    assert crops.shape == (6, 16, 16, 3)
    assert crops.max() <= PICTURES.max() + 1e-6 and crops.min() >= PICTURES.min() - 1e-6
    close(augment.random_resized_crop(PICTURES, 32, random(), scale=(1.0, 1.0)), PICTURES)


def test_ten_crops() -> None:
    crops = augment.multi_crop(PICTURES, 24)
    assert crops.shape == (6, 10, 24, 24, 3)
    assert np.array_equal(crops[:, 0], PICTURES[:, :24, :24])
    assert np.array_equal(crops[:, 3], PICTURES[:, 8:, 8:])
    assert np.array_equal(crops[:, 4], PICTURES[:, 4:28, 4:28])
    assert np.array_equal(crops[:, 5:], crops[:, :5, :, ::-1])
    with pytest.raises(ValueError, match="crops of side 33"):
        augment.multi_crop(PICTURES, 33)


def test_average_over_crops() -> None:
    def predict(pictures: np.ndarray) -> np.ndarray:
        return pictures.mean(axis=(1, 2))

    found = augment.average_over_crops(predict, PICTURES, 24)
    crops = augment.multi_crop(PICTURES, 24)
    close(found, np.mean([predict(crops[:, i]) for i in range(10)], axis=0))


def test_colours_at_rest() -> None:
    for same in (
        augment.brightness(PICTURES, 0 * ONE),
        augment.contrast(PICTURES, ONE),
        augment.saturation(PICTURES, ONE),
        augment.hue(PICTURES, 0 * ONE),
        augment.hue(PICTURES, 360 * ONE),
        augment.pca_jitter(PICTURES, np.zeros((6, 3)), AXES),
    ):
        close(same, PICTURES)


def test_colours() -> None:
    close(augment.brightness(PICTURES, 0.25 * ONE), PICTURES + np.float32(0.25), 1e-6)
    flat = augment.contrast(PICTURES, 0 * ONE)
    assert np.ptp(flat, axis=(1, 2, 3)).max() < 1e-6
    grey = augment.saturation(PICTURES, 0 * ONE)
    assert np.ptp(grey, axis=3).max() < 1e-6
    # A third of a turn takes red to green; grey stays grey.
    close(augment.hue(PICTURES, 120 * ONE), np.roll(PICTURES, 1, axis=3))
    close(augment.hue(grey, 77 * ONE), grey)


def test_colour_axes_are_the_principal_ones() -> None:
    """The axes' outer products sum up to the covariance."""
    np.testing.assert_allclose(AXES.T @ AXES, np.cov(PICTURES.reshape(-1, 3).T), rtol=1e-4)


def test_cutout_hides_a_square() -> None:
    hidden = augment.cutout(PICTURES + 2, 0.5 * ONE, 0.5 * ONE, 0.25)
    assert (hidden[:, 12:20, 12:20] == 0).all()
    assert (hidden == 0).sum() == 6 * 3 * 8 * 8


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    sides=st.tuples(*[st.integers(1, 40)] * 4),
    channels=st.sampled_from([1, 3]),
    cubic=st.booleans(),
    mirrored=st.booleans(),
)
def test_the_same_bits_everywhere(
    seed: int, sides: tuple[int, int, int, int], channels: int, cubic: bool, mirrored: bool
) -> None:
    """On all instruction sets, of one thread and of two; and nothing beyond the ends is touched."""
    height, width, out_height, out_width = sides
    draws = random(seed)
    pictures = draws.standard_normal((2, height, width, channels), np.float32)
    matrices = (np.eye(3) + 0.5 * draws.standard_normal((2, 3, 3))).astype(np.float32)
    lenses = draws.standard_normal(2).astype(np.float32)
    found = []
    for isa in ISAS:
        for threads in (1, 2):
            guarded = np.full(2 * out_height * out_width * channels + 8, 7, np.float32)
            out = guarded[4:-4].reshape(2, out_height, out_width, channels)
            _native.warp(pictures, matrices, lenses, out, cubic, mirrored, threads, isa)
            back = np.full(pictures.size + 8, 7, np.float32)
            gradient = back[4:-4].reshape(pictures.shape)
            _native.warp_adjoint(out, matrices, lenses, gradient, cubic, mirrored, threads, isa)
            found.append((guarded, back))
    assert all((ends[:4] == 7).all() and (ends[-4:] == 7).all() for pair in found for ends in pair)
    for pair in found[1:]:
        for ours, first in zip(pair, found[0], strict=True):
            np.testing.assert_array_equal(ours, first)


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("side", [1, 3, 7, 16, 33])
def test_colours_on_every_instruction_set(isa: str, side: int) -> None:
    pictures = random(side).standard_normal((2, side, side, 3), np.float32)
    sums, result = np.empty((2, 3)), np.empty_like(pictures)
    _native.colour_sums(pictures, sums, 2, isa)
    np.testing.assert_allclose(sums, pictures.sum(axis=(1, 2), dtype=float), rtol=1e-12, atol=1e-10)
    matrices = random(1).standard_normal((2, 3, 4)).astype(np.float32)
    _native.recolour(pictures, matrices, result, 2, isa)
    expected = np.einsum("nij,nhwj->nhwi", matrices[:, :, :3], pictures.astype(float))
    close(result, expected + matrices[:, None, None, :, 3], 4e-6)


@pytest.mark.parametrize(
    "policy", [augment.SMALL_SET, replace(augment.NONE, flip=0.5), augment.NONE]
)
def test_changes_of_batches_are_joined(policy: augment.Augmentation) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32)
    changes = [policy.draw(n, np.random.default_rng(n)) for n in (2, 3)]
    assert set(_AXES) == {field.name for field in fields(Change) if "ndarray" in str(field.type)}
    both = joined(changes)(x)
    parts = [changes[0](x[:2]), changes[1](x[2:])]
    assert both.tobytes() == np.concatenate(parts).tobytes()
