"""Raw pictures of 256x256 RGB."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from facegen import FormatError
from facegen.media.rgb import RgbReader
from facegen.numbers.pixels import from_uint8, to_uint8

PICTURE_BYTES = 256 * 256 * 3


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 256, 256, 3), np.uint8)


@pytest.mark.parametrize("chunk", [1, 2, 5, 7])
def test_chunks(tmp_path: Path, chunk: int) -> None:
    expected = pictures(5)
    path = tmp_path / "a.rgb"
    expected.tofile(path)
    with RgbReader(path) as reader:
        assert reader.count == 5
        chunks = list(reader.chunks(chunk))
    assert all(len(c) == chunk for c in chunks[:-1]) and 0 < len(chunks[-1]) <= chunk
    np.testing.assert_array_equal(np.concatenate(chunks), expected)


@pytest.mark.parametrize("size", [0, 1, PICTURE_BYTES - 1, PICTURE_BYTES + 1])
def test_other_sizes_are_refused(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.rgb"
    path.write_bytes(bytes(size))
    with pytest.raises(FormatError, match=f"a.rgb: expected pictures .* found {size:,} bytes"):
        RgbReader(path)


@pytest.mark.parametrize("size", [0, PICTURE_BYTES - 1, 2 * PICTURE_BYTES, 3 * PICTURE_BYTES + 5])
def test_pipes(tmp_path: Path, size: int) -> None:
    """Their size is known at their end only."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    data = pictures(4).tobytes()[:size]
    writer = threading.Thread(target=path.write_bytes, args=[data])
    writer.start()
    with RgbReader(path) as reader:
        assert reader.count is None
        if size % PICTURE_BYTES == 0 and size:
            assert b"".join(c.tobytes() for c in reader.chunks(1)) == data
        else:
            with pytest.raises(FormatError, match=f"found {size:,} bytes"):
                list(reader.chunks(2))
    writer.join()


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        RgbReader(tmp_path / "missing.rgb")
    with pytest.raises(IsADirectoryError):
        RgbReader(tmp_path)


def test_every_level_there_and_back() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    values = from_uint8(levels)
    assert values.dtype == np.float32 and values.min() == -1 and values.max() == 1
    np.testing.assert_allclose(values, levels / 255 * 2 - 1, atol=2e-7)
    # Truncation may lose a level to rounding, never more.
    lost = levels.astype(int) - to_uint8(values)
    assert lost.min() >= 0 and lost.max() <= 1
