"""Names as long as the file system takes, for every output of every command that writes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, latent_text
from opposite import stand_in

from files import png


def name(size: int, extension: str, first: str = "n") -> str:
    """Of so many bytes, letters of two bytes in it."""
    left = size - len(extension) - 1
    return first + "é" * (left // 2) + "n" * (left % 2) + extension


SIZES = [239, 250, 255]


@pytest.mark.parametrize("size", SIZES)
def test_the_course_s_programs(
    run: Run, network_bin: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.txt").write_text(latent_text(range(2)))
    output, image = name(size, ".txt"), name(size, ".bmp")
    for more in ([], ["--resume"], ["--resume"]):
        result = run(network_bin, "in.txt", output, image, "--device", "cpu", *more)
        assert (result.code, result.err) == (0, "")
    assert "all 2 faces are there" in result.out
    assert {output, image} < set(os.listdir()) and len(os.listdir()) == 4  # and the journal
    stand_in(monkeypatch)
    Path("network").write_bytes(b"weights")
    np.zeros((1, 256, 256), np.float32).tofile("in.bin")
    np.zeros((1, 256, 256, 3), np.uint8).tofile("in.rgb")
    colours, pictures = name(size, "", "c"), name(size, "", "p")
    for more in ([], ["--resume"]):
        assert run("colorizer", "main", "in.bin", "network", colours, *more, "-q") == (0, "", "")
        assert run("pix2pix", "network", "in.rgb", pictures, *more, "-q") == (0, "", "")
    assert {colours, pictures} < set(os.listdir())


@pytest.mark.parametrize("size", SIZES)
def test_faces(run: Run, network_bin: Path, size: int) -> None:
    words = ["-n", network_bin, "--device", "cpu", "-q"]
    many, one, latents = name(size, ".npy"), name(size, ".png"), name(size, ".txt")
    for output in (many, one):
        command = ["generate", "-s", "0-1", "-o", output, *words]
        assert run(*command) == (0, "", "")
        Path(output).unlink()
        for more in (["--resume", "--save-latents", latents], ["--resume"]):
            assert run(*command, *more) == (0, "", "")
        assert run(*command, "--overwrite", "--save-latents", latents) == (0, "", "")
        Path(latents).unlink()
    each = f"{{index:0{min(size - 4, 99)}d}}" + "n" * (size - 4 - min(size - 4, 99)) + ".png"
    assert run("generate", "-s", "0-1", "-o", f"faces/{each}", *words) == (0, "", "")
    found = {path for path in os.listdir("faces") if not path.startswith(".")}
    assert len(found) == 2 and {len(os.fsencode(path)) for path in found} == {size}
    assert run("interpolate", "-s", "0-1", "-o", name(size, ".gif"), *words) == (0, "", "")


@pytest.mark.parametrize("size", SIZES)
def test_pictures_weights_and_reports(
    run: Run, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, report = name(size, ".bin"), name(size, ".json")
    assert run("init", "dcgan", weights, "-q").code == 0
    assert run("convert", weights, name(size, ".safetensors"), "-q") == (0, "", "")
    assert run("inspect", weights, "--json", report, "-q") == (0, "", "")
    stand_in(monkeypatch)
    source, result = name(size, ".png"), name(size, ".png")
    Path(source).write_bytes(png())
    words = ["-n", weights, "--device", "cpu", "-q"]
    assert run("pix2pix", source, "-o", "out", *words) == (0, "", "")
    assert run("pix2pix", source, "-o", "out", *words) == (0, "", "")
    assert run("pix2pix", source, "-o", name(size, ".webp"), *words) == (0, "", "")
    assert {result, ".facegen"} == set(os.listdir("out"))
