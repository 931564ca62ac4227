"""facegen interpolate."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, start
from PIL import Image, ImageSequence

from facegen import Generator
from facegen.networks.dcgan import latents
from facegen.networks.paths import walk


@pytest.fixture(scope="module")
def generator(network_bin: Path) -> Generator:
    return Generator(network_bin, device="cpu")


def test_gif(run: Run, network_bin: Path) -> None:
    arguments = ("interpolate", "-n", network_bin, "-s", "1,5", "--frames", "6")
    result = run(*arguments, "-o", "faces.gif", "--scale", "2", "--fps", "20")
    assert result == (0, "faces.gif: 6 frames of 128x128\n", "")
    picture = Image.open("faces.gif")
    frames = list(ImageSequence.Iterator(picture))
    assert len(frames) == 6 and picture.size == (128, 128)
    assert picture.info["duration"] == 50 and picture.info["loop"] == 0
    result = run(*arguments, "-o", "faces.gif")
    assert result.code == 2 and "faces.gif: exists" in result.err


def test_raw_frames_on_standard_output(
    tmp_path: Path, network_bin: Path, generator: Generator
) -> None:
    arguments = ["interpolate", "-n", network_bin, "-s", "1,5,9", "--frames", "7", "--scale", "1"]
    process = start([*arguments, "-o", "-"], tmp_path)
    out, err = process.communicate(timeout=120)
    line, warning = err.splitlines()
    assert process.returncode == 0 and line == b"-: 7 frames of 64x64" and b"seeded" in warning
    frames = np.frombuffer(out, np.uint8).reshape(7, 64, 64, 3)
    np.testing.assert_array_equal(frames, generator.images(walk(latents([1, 5, 9]), 7)))


def test_an_open_walk(run: Run, network_bin: Path, generator: Generator) -> None:
    arguments = ("interpolate", "-n", network_bin, "-s", "1,5", "--frames", "3", "--scale", "1")
    assert run(*arguments, "--no-loop", "-q", "-o", "a.rgb") == (0, "", "")
    frames = np.fromfile("a.rgb", np.uint8).reshape(3, 64, 64, 3)
    ends = generator.images(latents([1, 5]))
    # Latents return from the normal distribution to 1e-7: a pixel may land on the next byte.
    difference = np.abs(frames[[0, 2]].astype(int) - ends.astype(int))
    assert difference.max() <= 1


def test_mp4(run: Run, network_bin: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV (extra [video]) is not installed")
    arguments = ("interpolate", "-n", network_bin, "-s", "1,5", "--frames", "8", "-o", "a.mp4")
    assert run(*arguments).code == 0
    with av.open("a.mp4") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == 8 and frames[0].shape == (256, 256, 3)


def test_mp4_without_pyav(
    run: Run, network_bin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    result = run("interpolate", "-n", network_bin, "-s", "1,5", "-o", "a.mp4")
    assert result.code == 2 and "pip install 'av>=" in result.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-s", "1", "-o", "a.gif"], "two seeds at least"),
        (["-s", "1,2", "-o", "a.avi"], "a.avi: expected a name in .gif, .mp4, .rgb"),
        (["-s", "1,2", "-o", "no/a.gif"], "no/a.gif: No such file"),
        (["-s", "1,2", "--frames", "1", "-o", "a.gif"], "--frames"),
        (["-s", "1,2", "--fps", "nan", "-o", "a.gif"], "'nan' is not a finite number"),
        (["-s", "1,2"], "--output"),
    ],
)
def test_wrong_options(run: Run, network_bin: Path, options: list[str], message: str) -> None:
    result = run("interpolate", "-n", network_bin, "--frames", "2", *options)
    assert result.code == 2 and message in result.err and len(result.err.splitlines()) == 1
    assert os.listdir() == []
