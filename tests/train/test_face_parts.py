"""Masks of the parts of rendered people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

from facegen.train.faces.synthetic import render
from facegen.train.faces.synthetic.layers import PARTS, part_masks
from facegen.train.segmentation.masks import VOID, read_pairs
from facegen.train.segmentation.portraits import draw, main

SIDE = 64


def test_a_mask_depends_on_its_seed_and_index_alone() -> None:
    many = part_masks(5, [0, 7, 4], SIDE)
    np.testing.assert_array_equal(many[1:2], part_masks(5, [7], SIDE))
    assert (part_masks(6, [7], SIDE) != many[1:2]).any()


def test_parts_are_where_they_are_in_a_face() -> None:
    masks = part_masks(1, range(8), SIDE)
    rows = np.arange(SIDE)[:, None]
    height = {
        part: np.mean([(rows * (mask == k)).sum() / (mask == k).sum() for mask in masks])
        for k, part in enumerate(PARTS)
        if all((mask == k).any() for mask in masks)
    }
    assert {"background", "hair", "skin", "eyes", "brows", "mouth", "clothes"} <= height.keys()
    order = [height[part] for part in ("brows", "eyes", "mouth", "clothes")]
    assert order == sorted(order)
    skin = (masks == PARTS.index("skin")).mean(axis=(1, 2))
    assert (skin > 0.1).all() and (skin < 0.6).all()


def test_a_mask_ends_where_the_picture_changes() -> None:
    masks, portraits = part_masks(2, range(8), SIDE), render(2, range(8), SIDE).astype(np.float64)
    across = np.abs(np.diff(portraits, axis=2)).mean(axis=3)
    edge = np.diff(masks.astype(int), axis=2) != 0
    assert across[edge].mean() > 3 * across[~edge].mean()


def test_pictures_are_moved_with_their_masks() -> None:
    pixels, masks = draw(3, range(4))
    assert pixels.shape == (4, 256, 256, 3) and masks.shape == (4, 256, 256)
    assert set(np.unique(masks)) <= {*range(len(PARTS)), VOID}
    across = np.abs(np.diff(pixels.astype(np.float64), axis=2)).mean(axis=3)
    known = (masks[:, :, 1:] != VOID) & (masks[:, :, :-1] != VOID)
    edge = (np.diff(masks.astype(int), axis=2) != 0) & known
    assert across[edge].mean() > 3 * across[known & ~edge].mean()


def test_the_program_writes_what_training_reads(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["-n", "2", "--processes", "1", "-o", str(tmp_path)])
    assert result.exit_code == 0, result.output
    pairs = read_pairs(tmp_path / "pictures", tmp_path / "masks")
    assert pairs.names == ["0000", "0001"]
    _, masks = draw(0, range(2))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "masks/0001.png")), masks[1])
