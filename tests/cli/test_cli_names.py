"""Names as long as the file system takes, for every output of every command that writes."""

from __future__ import annotations

import os
import sys
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


@pytest.mark.parametrize(
    "line",
    [
        "digits @", "digits x.png --json @", "inspect @", "compare a @", "convert default @",
        "demo @",
        "generate -s 1 -o @", "generate -s 1 -o a.png --save-latents @", "fetch @", "init dcgan @",
        "colorizer img2bin @ out.bin", "serve --network @", "train @", "train digits a @",
        "train segmentation a b --from @", "train segmentation a b --from c --log @",
        "colorize -n n x.png -o @", "pix2pix n in.rgb @",
        "network.bin @ out.txt out.bmp", "@",
    ],
)  # fmt: skip
def test_an_empty_name(run: Run, line: str) -> None:
    """As of a shell's variable that is not set."""
    result = run(*("" if word == "@" else word for word in line.split()))
    assert result.code == 2 and "expected a name, found an empty one" in result.err
    assert len(result.err.splitlines()) == 1 and os.listdir() == []


def test_words_of_another_program_may_be_empty(run: Run) -> None:
    code = "import sys; sys.exit(sys.argv[1:] != [''])"
    assert run("launch", "-n", 1, "--", sys.executable, "-c", code, "").code == 0


@pytest.mark.parametrize("more", [[], ["--overwrite"]])
def test_a_folder_where_a_file_is_expected(run: Run, more: list[str]) -> None:
    Path("folder").mkdir()
    Path("a.png").write_bytes(png())
    for line in (
        "digits a.png --json folder",
        "inspect default --json folder",
        "doctor --json folder",
        "demo folder",
    ):
        result = run(*line.split(), *more)
        assert result.code == 2
        assert result.err == "facegen: error: folder: is a folder, expected the name of a file\n"
    assert os.listdir("folder") == []
