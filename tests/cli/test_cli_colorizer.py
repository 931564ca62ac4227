"""facegen colorizer PROGRAM: the course's programs, alone and one after another."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from opposite import stand_in
from PIL import Image

from facegen.cli.colorizer import PROGRAMS
from facegen.cli.main import main
from facegen.media.colorization import network_lightness, with_colours
from facegen.networks import colorizer
from facegen.networks.colorizer import COLORIZER, Colorizer
from facegen.networks.recognise import read_any
from facegen.photos import heif

SIDE = 256


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("colorizer") / "network.bin"
    assert main(["init", "colorizer", "--seed", "1", str(path), "--quiet"]) == 0
    return path


def lightness(n: int) -> np.ndarray:
    values = np.random.default_rng(n).uniform(0, 100, (n, SIDE, SIDE))
    return values.astype("<f4")


def picture(path: str, seed: int = 0, size: tuple[int, int] = (30, 40)) -> np.ndarray:
    """A picture file, and its pixels."""
    patches = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    image = Image.fromarray(patches).resize(size[::-1], Image.Resampling.BICUBIC)
    image.save(path)
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """a is L and b its negative."""
    stand_in(monkeypatch)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_examples(run: Run, program: str) -> None:
    result = run("colorizer", program, "-h")
    assert result.code == 0 and f"  facegen colorizer {program} " in result.out
    assert "--debug" in result.out and "--quiet" in result.out


def test_main_is_the_network(run: Run, network: Path) -> None:
    lightness(1).tofile("in.bin")
    result = run("colorizer", "main", "in.bin", network, "out.bin", "--device", "cpu")
    assert result.code == 0 and result.err == ""
    assert re.search(r"^Elapsed time : \d+\.\d{6} sec$", result.out, re.MULTILINE)
    assert re.fullmatch(r"Performance: \d+\.\d{6} img/s", result.out.splitlines()[-1])
    assert "(1 picture)" in result.out
    found = np.fromfile("out.bin", "<f4").reshape(1, 2, SIDE, SIDE)
    expected = Colorizer(network, device="cpu").predict_ab(lightness(1))
    np.testing.assert_array_equal(found, expected)
    direct = ("--device", "cpu", "--algorithm", "direct", "--quiet")
    assert run("colorizer", "main", "in.bin", network, "direct.bin", *direct) == (0, "", "")
    assert run("colorizer", "compbin", "direct.bin", "out.bin").code == 0
    assert sorted(os.listdir()) == ["direct.bin", "in.bin", "out.bin"]


@pytest.mark.slow
@pytest.mark.parametrize("n", [3, 17])
def test_main_of_several_pictures(run: Run, network: Path, n: int) -> None:
    lightness(n).tofile("in.bin")
    assert run("colorizer", "main", "in.bin", network, "out.bin").code == 0
    found = np.fromfile("out.bin", "<f4").reshape(n, 2, SIDE, SIDE)
    model = Colorizer(network)
    for i in (0, n - 1):
        np.testing.assert_array_equal(found[i], model.predict_ab(lightness(n)[i : i + 1])[0])


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("n", [1, 3, 17, 70])
def test_main_keeps_the_order_of_pictures(run: Run, n: int) -> None:
    Path("network.bin").touch()
    lightness(n).tofile("in.bin")
    result = run("colorizer", "main", "in.bin", "network.bin", "out.bin")
    assert result.code == 0 and f"({n} picture" in result.out
    found = np.fromfile("out.bin", "<f4").reshape(n, 2, SIDE, SIDE)
    np.testing.assert_array_equal(found[:, 0], lightness(n))
    np.testing.assert_array_equal(found[:, 1], -lightness(n))


@pytest.mark.usefixtures("no_network")
def test_main_on_a_full_disk(run: Run) -> None:
    Path("network.bin").touch()
    lightness(2).tofile("in.bin")
    result = run("colorizer", "main", "in.bin", "network.bin", "/dev/full")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "/dev/full: No space left on device" in result.err


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("size", [0, 4, 262_143, 262_145, 2 * 262_144 - 4])
def test_lightness_of_another_size(run: Run, size: int) -> None:
    Path("in.bin").write_bytes(bytes(size))
    result = run("colorizer", "main", "in.bin", "network.bin", "out.bin")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"in.bin: expected pictures of 262,144 bytes (256x256 float32, L), found {size:,}" in (
        result.err
    )
    assert os.listdir() == ["in.bin"]


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 255, 100.1, -0.1, 1e38])
def test_lightness_out_of_range(run: Run, value: float) -> None:
    Path("network.bin").touch()
    values = lightness(40)
    values[37, 5, 6] = value
    values[38] = 1000
    values.tofile("in.bin")
    result = run("colorizer", "main", "in.bin", "network.bin", "out.bin")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"in.bin: picture 37, row 5, column 6: expected L from 0 to 100, found {value:g}" in (
        result.err
    )
    assert sorted(os.listdir()) == ["in.bin", "network.bin"]


@pytest.mark.usefixtures("no_network")
def test_the_ends_of_lightness(run: Run) -> None:
    """Black, white, and what other programs make of them in float32; all is passed on as it is."""
    Path("network.bin").touch()
    values = lightness(1)
    above = np.nextafter(np.float32(100), np.float32(200))
    ends = np.float32([0, -0.0, 100, above, -1e-5, 100.001])
    values[0, 0, : len(ends)] = ends
    values.tofile("in.bin")
    assert run("colorizer", "main", "in.bin", "network.bin", "out.bin").code == 0
    assert Path("out.bin").read_bytes()[: values.nbytes] == values.tobytes()


def test_main_with_bad_arguments(run: Run, network_bin: Path) -> None:
    lightness(1).tofile("in.bin")
    for arguments, words in (
        (("in.bin", "missing.bin", "out.bin"), "missing.bin: No such file"),
        (("in.bin", network_bin, "out.bin"), "holds a dcgan network, expected a colorizer network"),
        (("missing.bin", network_bin, "out.bin"), "missing.bin: No such file"),
        (("in.bin", network_bin, "in.bin"), "INPUT.bin and OUTPUT.bin are the same file"),
        (("in.bin", network_bin), "Missing argument 'OUTPUT.bin'"),
    ):
        result = run("colorizer", "main", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err
        assert os.listdir() == ["in.bin"]


def test_an_unknown_program(run: Run) -> None:
    assert run("colorizer") == run("colorizer", "--help")
    result = run("colorizer", "paint")
    assert result.code == 2 and "No such command 'paint'" in result.err


def test_img2bin_of_pictures_and_lists(run: Run) -> None:
    first, second = picture("a.png", 1), picture("b.jpg", 2, (1, 300))
    expected = np.stack([network_lightness(p) for p in (first, second, first)])
    Path("list.txt").write_bytes(b"\xef\xbb\xbfa.png\n\n  b.jpg\r\na.png\n")  # as Windows writes it
    assert run("colorizer", "img2bin", "list.txt", "of_list.bin") == (
        0, "of_list.bin: 3 pictures\n", ""
    )  # fmt: skip
    assert run("colorizer", "img2bin", "a.png", "b.jpg", "a.png", "out.bin", "-q").out == ""
    for name in ("of_list.bin", "out.bin"):
        np.testing.assert_array_equal(np.fromfile(name, "<f4").reshape(3, SIDE, SIDE), expected)


def test_img2bin_is_as_pillow_and_scikit_image(run: Run) -> None:
    color = pytest.importorskip("skimage.color")
    pixels = picture("a.png", 3, (77, 300))
    assert run("colorizer", "img2bin", "a.png", "out.bin").code == 0
    small = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    expected = color.rgb2lab(np.asarray(small))[..., 0]
    found = np.fromfile("out.bin", "<f4").reshape(SIDE, SIDE)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_pictures_of_every_kind(run: Run) -> None:
    """img2bin and bin2img see them upright, in 8-bit RGB, with what is transparent as it is."""
    rgb = picture("rgb.png", 4, (30, 20))
    grey = rgb[..., 0]
    rotated = Image.Exif()
    rotated[0x0112] = 6  # shown turned to the right
    Image.fromarray(rgb).transpose(Image.Transpose.ROTATE_90).save("rotated.png", exif=rotated)
    Image.fromarray(grey).save("grey.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save("sixteen.png")
    Image.fromarray(np.dstack([rgb, grey])).save("alpha.png")
    Image.fromarray(rgb).convert("CMYK").save("cmyk.tif")
    Image.fromarray(rgb).quantize(256).save("palette.png")
    names = ["rgb.png", "rotated.png", "alpha.png", "cmyk.tif", "grey.png", "sixteen.png"]
    assert run("colorizer", "img2bin", *names, "palette.png", "in.bin").code == 0
    found = np.fromfile("in.bin", "<f4").reshape(7, SIDE, SIDE)
    coloured, grey_one = network_lightness(rgb), network_lightness(grey)
    for i, expected in enumerate([coloured] * 4 + [grey_one] * 2):
        np.testing.assert_array_equal(found[i], expected, names[i])
    palette = np.asarray(Image.open("palette.png").convert("RGB"))
    np.testing.assert_array_equal(found[6], network_lightness(palette))
    np.zeros((7, 2, SIDE, SIDE), "<f4").tofile("out.bin")
    assert run("colorizer", "bin2img", *names, "palette.png", "out.bin").code == 0
    for name in names:
        result = np.asarray(Image.open(f"{os.path.splitext(name)[0]}_colorized.png"))
        assert result.shape == rgb.shape


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_pictures_of_extreme_shapes(run: Run, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save("a.png")
    assert run("colorizer", "img2bin", "a.png", "in.bin").code == 0
    np.testing.assert_array_equal(
        np.fromfile("in.bin", "<f4").reshape(SIDE, SIDE), network_lightness(pixels)
    )
    np.full((1, 2, SIDE, SIDE), 10, "<f4").tofile("out.bin")
    assert run("colorizer", "bin2img", "a.png", "out.bin").code == 0
    assert np.asarray(Image.open("a_colorized.png")).shape == pixels.shape


def test_img2bin_with_bad_pictures(run: Run) -> None:
    picture("a.png")
    Path("broken.png").write_bytes(Path("a.png").read_bytes()[:60])
    Path("list.txt").write_text("a.png\nmissing.png\n")
    Path("empty.txt").write_text("\n")
    Path("data.bin").write_bytes(bytes(10))
    Path("utf16.txt").write_bytes("a.png\n".encode("utf-16"))
    Path("long.txt").write_bytes(b"x\r\n" * 1_000_000 + b"x")
    present = sorted(os.listdir())
    for arguments, words in (
        (("a.png", "broken.png", "out.bin"), "broken.png: "),
        (("missing.png", "out.bin"), "missing.png: No such file"),
        (("list.txt", "out.bin"), "missing.png: No such file"),
        (("empty.txt", "out.bin"), "empty.txt: an empty list"),
        (("data.bin", "out.bin"), "data.bin: neither named as a picture nor a text"),
        (("utf16.txt", "out.bin"), "utf16.txt: neither named as a picture nor a text"),
        (("long.txt", "out.bin"), "long.txt: a list of 1,000,001 lines, expected at most"),
        (("a.png", "a.png"), "are the same file"),
        (("list.txt", "list.txt"), "are the same file"),
        (("a.png",), "Missing argument"),
    ):
        result = run("colorizer", "img2bin", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err
        assert sorted(os.listdir()) == present


def test_img2bin_without_a_reader_of_heic(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heif, "installed", lambda: False)
    Path("a.heic").write_bytes(b"\0\0\0\x14ftypheic\0\0\0\0mif1")
    result = run("colorizer", "img2bin", "a.heic", "out.bin")
    assert result.code == 2 and not Path("out.bin").exists()
    assert "error: a.heic: HEIC needs " in result.err and "pip install 'pillow-heif>=" in result.err


def test_bin2img(run: Run) -> None:
    pixels = [picture("a.png", 1, (20, 50)), picture("b.jpg", 2, (300, 1))]
    ab = np.random.default_rng(0).uniform(-40, 40, (2, 2, SIDE, SIDE)).astype("<f4")
    ab.tofile("out.bin")
    result = run("colorizer", "bin2img", "a.png", "b.jpg", "out.bin")
    assert result == (0, "a_colorized.png\nb_colorized.png\n", "")
    for name, own, planes in zip("ab", pixels, ab, strict=True):
        found = np.asarray(Image.open(f"{name}_colorized.png"))
        np.testing.assert_array_equal(found, with_colours(own, planes))


def test_bin2img_with_bad_arguments(run: Run) -> None:
    picture("a.png")
    picture("a.jpg")
    Path("one.bin").write_bytes(bytes(524_288))
    Path("cut.bin").write_bytes(bytes(524_287))
    present = sorted(os.listdir())
    for arguments, words in (
        (("a.png", "a.png", "one.bin"), "a_colorized.png: would be written for several"),
        (("a.png", "a.jpg", "one.bin"), "a_colorized.png: would be written for several"),
        (("a.png", "cut.bin"), "expected pictures of 524,288 bytes (2x256x256 float32, a and b)"),
        (("a.png", "missing.bin"), "missing.bin: No such file"),
        (("missing.png", "one.bin"), "missing.png: No such file"),
    ):
        result = run("colorizer", "bin2img", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err
        assert sorted(os.listdir()) == present
    picture("b.png")
    result = run("colorizer", "bin2img", "a.png", "b.png", "one.bin")
    assert result.code == 2 and "one.bin: holds colours of 1 picture, 2 are named" in result.err


@pytest.mark.parametrize(("difference", "code"), [(0.0, 0), (0.0009, 0), (0.0011, 1), (np.nan, 1)])
def test_compbin(run: Run, difference: float, code: int) -> None:
    values = np.zeros((3, 2, SIDE, SIDE), "<f4")
    values.tofile("a")  # the programs do not care how their files are named
    values[2, 1, 3, 4] = difference
    values.tofile("b")
    result = run("colorizer", "compbin", "a", "b")
    assert result.code == code and result.err == ""
    size = "inf" if np.isnan(difference) else f"{difference:.9f}"[:6]
    assert result.out.startswith(f"Max difference: {size}")
    if code:
        assert "at row 3, column 4 of plane b of picture 2" in result.out
    assert run("colorizer", "compbin", "a", "b", "-q") == (code, "", "")


def test_compbin_of_other_files(run: Run) -> None:
    Path("one.bin").write_bytes(bytes(524_288))
    Path("two.bin").write_bytes(bytes(2 * 524_288))
    Path("cut.bin").write_bytes(bytes(524_284))
    result = run("colorizer", "compbin", "one.bin", "two.bin")
    assert result.code == 1 and "different: one.bin holds 131,072 values" in result.out
    result = run("colorizer", "compbin", "one.bin", "cut.bin")
    assert result.code == 2 and "cut.bin: expected pictures of 524,288 bytes" in result.err


def test_net2bin(run: Run, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the other commands that read a checkpoint, all without PyTorch."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from facegen.networks.eccv16 import state_dict

    _, tensors = read_any(network, [COLORIZER])
    torch.save(state_dict(tensors), "checkpoint.pth")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    assert "format  : pytorch" in run("inspect", "checkpoint.pth").out
    assert run("convert", "checkpoint.pth", "converted.bin").code == 0
    assert Path("converted.bin").read_bytes() == network.read_bytes()
    result = run("colorizer", "net2bin", "checkpoint.pth", "out.bin")
    assert result == (0, "out.bin: 75 tensors, 128,964,012 bytes\n", "")
    assert Path("out.bin").read_bytes() == network.read_bytes()


def test_net2bin_without_a_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_CACHE", "cache")
    result = run("colorizer", "net2bin", "out.bin")
    assert result.code == 2 and "get it with facegen fetch colorizer" in result.err
    assert run("colorizer", "net2bin", "a", "b", "out.bin").code == 2
    assert os.listdir() == []


@pytest.mark.parametrize("precision", ["float32", "strict"])
def test_genans(run: Run, network: Path, precision: str) -> None:
    pytest.importorskip("torch", reason="PyTorch is not installed")
    picture("a.png", 1)
    assert run("colorizer", "img2bin", "a.png", "in.bin").code == 0
    on_cpu = ["--device", "cpu", "--precision", precision]
    assert run("colorizer", "main", "in.bin", network, "out.bin", *on_cpu).code == 0
    result = run("colorizer", "genans", "-n", network, "a.png", "answer.bin", "--double")
    assert result == (0, "answer.bin: answers for 1 picture\n", "")
    assert run("colorizer", "compbin", "out.bin", "answer.bin").code == 0


def test_without_pytorch(run: Run, network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    picture("a.png")
    result = run("colorizer", "genans", "-n", network, "a.png", "answer.bin")
    assert result.code == 2 and "pip install 'torch>=" in result.err
    assert os.listdir() == ["a.png"]


def test_planes_of_the_output() -> None:
    ab = np.arange(2 * 3 * 4 * 2, dtype=np.float32).reshape(2, 3, 4, 2)
    planes = colorizer.planar(ab)
    assert planes.shape == (2, 2, 3, 4) and planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[1, 0], ab[1, :, :, 0])
