"""facegen pix2pix: the course's program, and pictures."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from opposite import stand_in
from PIL import Image

from facegen import Pix2Pix
from facegen.cli.main import main
from facegen.engine import Runner


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pix2pix") / "network.bin"
    assert main(["init", "pix2pix", "--seed", "1", str(path), "--quiet"]) == 0
    return path


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), np.uint8)


def test_the_program_of_the_course(
    run: Run, network: Path, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "chunk", 2)
    pictures.tofile("in.rgb")
    result = run("pix2pix", network, "in.rgb", "out.rgb", "--device", "cpu")
    assert result.code == 0 and result.err == ""
    assert re.search(r"^Elapsed time : \d+\.\d{6} sec$", result.out, re.MULTILINE)
    assert re.fullmatch(r"Throughput : \d+\.\d{6} img / sec", result.out.splitlines()[-1])
    assert "3 pictures" in result.out
    found = np.fromfile("out.rgb", np.uint8).reshape(pictures.shape)
    np.testing.assert_array_equal(found, Pix2Pix(network, device="cpu")(pictures))
    assert sorted(os.listdir()) == ["in.rgb", "out.rgb"]

    assert run("compare", "out.rgb", "out.rgb").code == 0


@pytest.mark.parametrize("size", [0, 196_607, 196_609])
def test_input_of_another_size(run: Run, network: Path, size: int) -> None:
    Path("in.rgb").write_bytes(bytes(size))
    result = run("pix2pix", network, "in.rgb", "out.rgb")
    assert result.code == 2 and result.err.count("\n") == 1
    assert f"in.rgb: expected pictures of 196,608 bytes (256x256 RGB), found {size:,}" in result.err
    assert os.listdir() == ["in.rgb"]


def test_bad_arguments(run: Run, network: Path, pictures: np.ndarray, network_bin: Path) -> None:
    pictures[:1].tofile("in.rgb")
    for arguments, words in (
        ((network, "in.rgb", "in.rgb"), "INPUT and OUTPUT are the same file"),
        (("missing.bin", "in.rgb", "out.rgb"), "missing.bin: No such file"),
        ((network_bin, "in.rgb", "out.rgb"), "holds a dcgan network, expected a pix2pix network"),
        ((network, "missing.rgb", "out.rgb"), "missing.rgb: No such file"),
        ((network, "in.rgb", "nowhere/out.rgb"), "nowhere/out.rgb: No such file"),
        ((network, "in.rgb"), "expected NETWORK INPUT.rgb OUTPUT.rgb, or pictures and -o DIR"),
        ((network, "in.rgb", "out.rgb", "-r"), "expected NETWORK INPUT.rgb OUTPUT.rgb"),
        ((network, "in.PNG", "out.png"), "in.PNG: is named as a picture, whose result takes -o"),
        ((), "Missing argument '[NETWORK] PICTURE...'"),
        ((network,), "expected NETWORK INPUT.rgb OUTPUT.rgb"),
        ((network, "-o", "out"), "expected NETWORK, or --network, and pictures"),
    ):
        result = run("pix2pix", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err
        assert os.listdir() == ["in.rgb"]


def test_a_full_disk(run: Run, network: Path, pictures: np.ndarray) -> None:
    pictures[:1].tofile("in.rgb")
    result = run("pix2pix", network, "in.rgb", "/dev/full")
    assert result.code == 1 and "/dev/full: No space left on device" in result.err


def test_pictures_of_every_kind(
    run: Run, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bad file does not end the run; finished ones are skipped the next time."""
    stand_in(monkeypatch)
    network = "network.bin"
    os.makedirs("in/sub")
    rgba = np.zeros((60, 90, 4), np.uint8)  # a dark square on transparent ground
    rgba[20:40, 20:40] = (10, 20, 30, 255)
    Image.fromarray(rgba).save("in/alpha.png")
    Image.fromarray(pictures[0]).save("in/square.bmp")
    Image.fromarray(pictures[0, :7, :300]).convert("P").save("in/palette.gif")
    Image.fromarray((np.arange(40 * 30).reshape(40, 30) * 50).astype(np.uint16)).save("in/deep.png")
    Image.new("CMYK", (1, 500), (10, 20, 30, 40)).save("in/sub/cmyk.jpg")
    Path("in/bad.png").write_bytes(b"hello")

    result = run("pix2pix", network, "in", "-r", "-o", "out", "--device", "cpu", "--json", "r.json")
    assert result.code == 1 and "bad.png: not a picture" in result.err
    counts = json.loads(Path("r.json").read_text())["counts"]
    assert counts == {"in": 6, "done": 5, "failed": 1, "skipped": 0, "passed_over": 0}
    model = Pix2Pix(network, device="cpu")
    for name in ("alpha", "square", "palette", "deep", "sub/cmyk"):
        with Image.open(f"out/{name}.png") as image:
            assert (image.mode, image.size) == ("RGB", (256, 256))
            (source,) = Path("in").glob(f"{name}.*")
            np.testing.assert_array_equal(np.asarray(image), np.asarray(model(source)))
    with Image.open("out/square.png") as image:
        np.testing.assert_array_equal(np.asarray(image), model(pictures[0]))

    result = run("pix2pix", network, "in", "-r", "-o", "out", "--device", "cpu")
    assert "0 done, 1 failed, 5 skipped of 6" in result.out
    words = ("-o", "one.jpg", "--size", "original", "--network", network)
    assert run("pix2pix", "in/alpha.png", *words).code == 0
    with Image.open("one.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (90, 60))


def test_an_animation(
    run: Run, pictures: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    frames = [Image.fromarray(each[:60, :90]) for each in pictures[:2]]
    frames[0].save("walk.png", save_all=True, append_images=frames[1:], duration=70)
    words = ("pix2pix", "walk.png", "--network", "network.bin", "--device", "cpu")
    assert run(*words, "-o", "new.png", "--size", "original").code == 0
    model = Pix2Pix("network.bin", device="cpu")
    with Image.open("new.png") as image:
        assert (image.n_frames, image.size, image.info["duration"]) == (2, (90, 60), 70)
        for index, frame in enumerate(frames):
            image.seek(index)
            expected = model.finish(np.asarray(model(frame)), (60, 90))
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), expected)


@pytest.mark.parametrize(
    ("options", "kept"),
    [(["--size", "original"], True), (["--size", "original", "--strip"], False), ([], False)],
)
def test_results_of_the_same_size_say_what_pictures_say(
    run: Run, monkeypatch: pytest.MonkeyPatch, options: list[str], kept: bool
) -> None:
    stand_in(monkeypatch)
    exif = Image.Exif()
    exif[0x010F] = "Box Brownie"
    Image.new("RGB", (30, 20), "red").save("a.jpg", exif=exif)
    words = ["pix2pix", "a.jpg", "-o", "b.jpg", "--network", "network.bin", *options]
    assert run(*words, "--device", "cpu").code == 0
    with Image.open("b.jpg") as image:
        assert dict(image.getexif()) == ({0x010F: "Box Brownie"} if kept else {})


def test_sizes(run: Run, network: Path) -> None:
    Image.new("RGB", (500, 260), (9, 200, 9)).save("drawing.png")
    words = ("pix2pix", network, "drawing.png", "-o", "out.png", "--overwrite", "--device", "cpu")
    for size, found in (("256,512", (512, 256)), ("own", (500, 260)), ("256", (256, 256))):
        assert run(*words, "--size", size).code == 0
        assert Image.open("out.png").size == found
    for size in ("300", "256,", "0", "256,256,256", "big"):
        result = run(*words, "--size", size)
        assert result.code == 2 and "expected multiples of 256 as HEIGHT,WIDTH" in result.err
