"""Line drawings beside portraits: something to try pix2pix on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from facegen.train.faces.synthetic import render
from facegen.train.faces.synthetic.layers import PARTS, part_masks
from facegen.train.pix2pix import pairs
from facegen.train.pix2pix.portraits import _by_hand, _lines, drawings, main
from facegen.train.pix2pix.portraits import pairs as draw

SIDE = 64


def test_the_portrait_is_the_renderers() -> None:
    both = draw(3, range(2), SIDE)
    assert both.shape == (2, SIDE, 2 * SIDE, 3)
    np.testing.assert_array_equal(both[:, :, SIDE:], render(3, range(2), SIDE))


def test_a_drawing_depends_on_its_seed_and_index_alone() -> None:
    many = drawings(5, [0, 7, 4], SIDE)
    np.testing.assert_array_equal(many[1:2], drawings(5, [7], SIDE))
    assert (drawings(6, [7], SIDE) != many[1:2]).any()


def test_coloured_pencils_tell_colours() -> None:
    """Lines where the black ones are, paper as the background is."""
    black, coloured = (drawings(3, range(4), SIDE, coloured=each) for each in (False, True))
    portraits = render(3, range(4), SIDE).astype(np.float64)
    behind = part_masks(3, range(4), SIDE) == 0
    everyone = zip(coloured.astype(int), black, portraits, behind, strict=True)
    for drawn, dark, portrait, background in everyone:
        paper, blank = drawn[0, 0], (dark == 255).all(axis=2)
        assert np.abs(drawn[blank] - paper).max() <= 1  # black rounds to white there
        assert np.abs(255 - paper - 0.3 * (255 - portrait[background].mean(axis=0))).max() < 3
        assert np.abs(drawn[~blank] - paper).max() > 60


def test_pairs_are_drawn_by_hand() -> None:
    """Even ones in black; lines of some widths, near to those of `drawings`, a few left out."""
    drawn = draw(3, range(12), 128)[:, :, :128].astype(int)
    np.testing.assert_array_equal(draw(3, [5], 128)[:, :, :128], drawn[5:6])
    coloured = np.abs(drawn - drawn[..., :1]).max(axis=(1, 2, 3)) > 8
    assert coloured.tolist() == [False, True] * 6
    inked = drawn[::2, ..., 0] < 128
    clean = drawings(3, range(0, 12, 2), 128)[..., 0] < 128
    shares = inked.mean(axis=(1, 2)) / clean.mean(axis=(1, 2))
    assert shares.min() < 1.2 and shares.max() > 2  # thin and thick
    assert not (inked & ~grown(clean)).any()
    ink = np.zeros((64, 64, 1))
    assert any(_by_hand(ink, np.random.default_rng(seed)).any() for seed in range(9))  # gaps


def grown(lines: np.ndarray) -> np.ndarray:
    """What is no more than 4 pixels off in either direction."""
    padded = np.pad(lines, ((0, 0), (4, 4), (4, 4)))
    found: np.ndarray = np.lib.stride_tricks.sliding_window_view(
        padded, (9, 9), axis=(1, 2)
    ).any(axis=(-2, -1))
    return found


def test_an_eye_may_be_empty() -> None:
    empty, drawn = (_lines(3, range(2), 128, np.full(2, each)) for each in (True, False))
    eyes = part_masks(3, range(2), 128) == PARTS.index("eyes")
    np.testing.assert_allclose(empty[1].sum(axis=1), 1, atol=1e-5)
    more = (empty[0] - drawn[0])[..., 0] > 0.5
    assert more.any(axis=(1, 2)).all() and not (more & ~grown(eyes)).any()


def test_lines_lie_where_the_portrait_changes() -> None:
    drawn, portraits = drawings(1, range(8), 128), render(1, range(8), 128).astype(np.float64)
    dy, dx = np.gradient(portraits.mean(axis=3), axis=(1, 2))
    change, dark = np.hypot(dx, dy), drawn[..., 0] < 128
    assert 0.01 < dark.mean() < 0.15  # lines on paper
    assert change[dark].mean() > 3 * change[~dark].mean()


def test_the_program_writes_pairs_that_training_reads(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["-n", "1", "--seed", "2", "-o", str(tmp_path / "pairs")])
    assert result.exit_code == 0, result.output
    (pair,) = pairs.find(tmp_path / "pairs").pairs
    assert pair.name == "0000"
    drawn, portrait = pairs.read(pair, 256)
    np.testing.assert_array_equal(np.concatenate([drawn, portrait], axis=1), draw(2, [0])[0])


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    result = CliRunner().invoke(main, ["-n", "1", "-o", str(tmp_path / "file" / "pairs")])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)


@pytest.mark.parametrize("count", ["0", "10001"])
def test_counts_that_are_refused(tmp_path: Path, count: str) -> None:
    result = CliRunner().invoke(main, ["-n", count, "-o", str(tmp_path / "pairs")])
    assert result.exit_code == 2 and not (tmp_path / "pairs").exists()
