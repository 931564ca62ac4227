"""facegen demo, and the package's own network where none is named."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Run, latent_text
from PIL import Image

from facegen import Generator
from facegen.networks import dcgan, default
from facegen.weights import write


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Generator:
    """The package's own networks of faces for this test, seeded weights; that of 64x64."""
    folder = tmp_path_factory.mktemp("default")
    for name, network, weights in (
        ("faces", dcgan.DCGAN, dcgan.initial_weights(3)),
        ("faces128", dcgan.DCGAN_128, dcgan.initial_weights_of_128(3)),
    ):
        file = folder / f"{name}.safetensors"
        write(file, network, weights, half=True)
        card = {"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        (folder / f"{name}.json").write_text(json.dumps(card))
    monkeypatch.setattr(default, "_folder", lambda: folder)
    return Generator("faces", device="cpu")


def test_demo(run: Run, own: Generator) -> None:
    """Faces of 128x128 where no network is named."""
    result = run("demo")
    assert result.code == 0 and result.err == ""
    assert re.match(r"faces.png: 64 faces in [\d.]+ ms, [\d,]+ faces/s on cpu \(", result.out)
    picture = np.asarray(Image.open("faces.png"))
    assert picture.shape == (1024, 1024, 3)
    large = Generator("faces128", device="cpu")
    np.testing.assert_array_equal(picture[128:256, :128], large.images(dcgan.latents([8]))[0])


def test_demo_with_options(run: Run, own: Generator, network_bin: Path) -> None:
    options = ["--grid", "3x2", "--seed", "5", "-n", network_bin, "--quiet"]
    assert run("demo", "row.bmp", *options) == (0, "", "")
    picture = np.asarray(Image.open("row.bmp"))
    assert picture.shape == (128, 192, 3)
    expected = Generator(network_bin, device="cpu").images(dcgan.latents([5]))[0]
    np.testing.assert_array_equal(picture[:64, :64], expected)


def test_demo_does_not_replace(run: Run, own: Generator) -> None:
    Path("faces.png").write_text("precious")
    assert run("demo").code == 2 and Path("faces.png").read_text() == "precious"
    assert run("demo", "--overwrite").code == 0


def test_demo_twice(run: Run, own: Generator) -> None:
    """The first command that people try, again."""
    assert run("demo").code == 0
    first = Path("faces.png").read_bytes()
    again = run("demo")
    assert again.code == 0 and "64 faces in" in again.out
    assert run("demo", "--seeds", "1").code == 2  # this would be another picture
    assert Path("faces.png").read_bytes() == first
    Path("faces.png").write_bytes(first[:-1] + b"x")  # of the same size
    assert run("demo").code == 2


def test_demo_takes_seeds_as_generate_does(run: Run, own: Generator) -> None:
    for name, options in (
        ("a.png", ["--seeds", "7-9,3"]),
        ("b.png", ["-s", "7-9,3", "--grid", "2x2"]),
    ):
        assert run("demo", name, *options, "-q") == (0, "", "")
        large = ("-n", "faces128", "-q")
        assert run("generate", "-o", f"of-{name}", *options, *large) == (0, "", "")
        assert Path(name).read_bytes() == Path(f"of-{name}").read_bytes()
    assert run("demo", "c.png", "--seed", "5", "--grid", "2x1").code == 0  # as it once was called
    assert run("demo", "d.png", "--seeds", "5,6", "--grid", "2x1").code == 0
    assert Path("c.png").read_bytes() == Path("d.png").read_bytes()
    assert "1 face in" in run("demo", "e.png", "--seeds", "5").out
    both = run("demo", "f.png", "--seed", "5", "--seeds", "5")
    assert both.code == 2 and "name one of them" in both.err
    assert "--seed " not in run("demo", "-h").out


@pytest.mark.parametrize("name", ["faces.npy", "faces.gif", "folder/", "no/faces.png"])
def test_demo_to_something_else(run: Run, own: Generator, name: str) -> None:
    result = run("demo", name)
    assert result.code == 2 and len(result.err.splitlines()) == 1


def test_without_a_default(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(default, "_folder", lambda: tmp_path)
    for arguments in (["demo"], ["generate", "-s", "0", "-o", "a.png"], ["a", "b", "c"]):
        result = run(*arguments)
        assert result.code == 2 and "; name another" in result.err


def test_generate(run: Run, own: Generator) -> None:
    assert run("generate", "-s", "4", "-o", "a.npy").code == 0
    np.testing.assert_array_equal(np.load("a.npy"), own.generate([4]))


def test_the_bare_form(run: Run, own: Generator) -> None:
    Path("in.txt").write_text(latent_text([4]))
    result = run("in.txt", "out.txt", "out.bmp")
    assert result.code == 0 and "faces.safetensors (dcgan" in result.out
    picture = np.asarray(Image.open("out.bmp"))
    np.testing.assert_array_equal(picture, own.images(dcgan.latents([4]))[0])


def test_convert_and_inspect(run: Run, own: Generator) -> None:
    assert run("convert", "default", "network.bin").code == 0
    np.testing.assert_array_equal(Generator("network.bin").generate([4]), own.generate([4]))
    assert run("convert", "network.bin", "a.safetensors", "--half").code == 0
    assert run("inspect", "a.safetensors").code == 0
    assert "format  : safetensors" in run("inspect", "default").out


@pytest.mark.parametrize("name", ["-", "faces.jpg", "faces", "d/", "d.npy"])
def test_demo_draws_pictures_alone(run: Run, name: str) -> None:
    result = run("demo", name)
    assert result.code == 2 and f"error: {name}: expected a name in .png or .bmp" in result.err
    assert os.listdir() == []
