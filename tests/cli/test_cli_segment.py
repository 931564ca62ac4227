from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

from facegen import Segmenter
from facegen.cli.main import main
from facegen.media import voc


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("segment") / "network.safetensors"
    assert main(["init", "segmentation", "--seed", "1", str(path), "--quiet"]) == 0
    return path


def save(path: str, height: int = 30, width: int = 40, seed: int = 0) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    pixels = np.uint8(np.stack([(y * 5 + seed) % 256, x * 6 % 256, (x + y) * 3 % 256], axis=2))
    Image.fromarray(pixels).save(path)
    return pixels


def test_one_picture(run: Run, network: Path) -> None:
    pixels = save("street.png")
    result = run("segment", "street.png", "-n", network, "-o", "classes.png", "--device", "cpu")
    assert result.code == 0 and "1 done of 1 picture in" in result.out
    image = Image.open("classes.png")
    assert image.mode == "P" and image.size == (40, 30)
    expected = Segmenter(network, device="cpu")(pixels)
    np.testing.assert_array_equal(np.asarray(image), expected)
    np.testing.assert_array_equal(np.asarray(image.convert("RGB")), voc.palette()[expected])


def test_a_folder_with_everything(run: Run, network: Path) -> None:
    Path("in/sub").mkdir(parents=True)
    first = save("in/a.png")
    save("in/sub/b.png", 50, 20, 7)
    Path("in/bad.jpg").write_bytes(b"no picture")
    options = ["--overlay", "--areas", "--legend", "--masks", "--json", "report.json"]
    result = run("segment", "in", "-r", "-n", network, "-o", "out", *options, "--device", "cpu")
    assert result.code == 1 and "in/bad.jpg: not a picture" in result.err
    assert "2 done, 1 failed of 3 pictures" in result.out

    classes = np.asarray(Image.open("out/a.png"))
    found = voc.areas(classes)
    areas = json.loads(Path("out/a_areas.json").read_text())
    assert areas == {"width": 40, "height": 30, "classes": found}
    overlay = np.asarray(Image.open("out/a_overlay.png"))
    np.testing.assert_array_equal(overlay, voc.overlay(first, classes))
    np.testing.assert_array_equal(np.asarray(Image.open("out/a_legend.png")), voc.legend(found))
    masks = {path.stem: np.asarray(Image.open(path)) for path in Path("out/a_masks").iterdir()}
    assert masks.keys() == {area["name"] for area in found}
    for area in found:
        assert np.count_nonzero(masks[area["name"]]) == area["pixels"]
    assert Path("out/sub/b_overlay.png").exists()

    report = json.loads(Path("report.json").read_text())
    assert report["command"] == "segment" and report["device"] == "cpu"
    assert report["counts"] == {"in": 3, "done": 2, "failed": 1, "skipped": 0, "passed_over": 0}
    items = {item["source"]: item for item in report["items"]}
    assert items["in/a.png"]["classes"] == found

    again = run("segment", "in/a.png", "-n", network, "-o", "out", *options[:4], "--device", "cpu")
    assert again.code == 0 and "1 skipped" in again.out


@pytest.mark.parametrize("strip", [False, True])
def test_overlays_say_what_pictures_say(run: Run, network: Path, strip: bool) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Box Brownie"
    with Image.fromarray(save("a.png")) as picture:
        picture.save("a.png", exif=exif)
    options = ["--overlay", "--device", "cpu", "-q", *(["--strip"] if strip else [])]
    assert run("segment", "a.png", "-n", network, "-o", "out", *options).code == 0
    said = {} if strip else {0x010F: "Box Brownie"}
    assert dict(Image.open("out/a_overlay.png").getexif()) == said
    assert not Image.open("out/a.png").getexif()  # a map of classes is no picture


def test_pages(run: Run, network: Path) -> None:
    """A class map each, with all that is beside it."""
    first, second = (Image.fromarray(save(f"{i}.png", 30 + i, seed=9 * i)) for i in range(2))
    first.save("scan.tif", save_all=True, append_images=[second])
    words = ("segment", "scan.tif", "-n", network, "--device", "cpu")
    assert run(*words, "-o", "out", "--areas", "--masks", "--json", "report.json").code == 0
    for mark, page in (("", first), ("_page2", second)):
        classes = np.asarray(Image.open(f"out/scan{mark}.png"))
        np.testing.assert_array_equal(classes, Segmenter(network, device="cpu")(np.asarray(page)))
        areas = json.loads(Path(f"out/scan{mark}_areas.json").read_text())
        assert areas["classes"] == voc.areas(classes) and Path(f"out/scan{mark}_masks").is_dir()
    (item,) = json.loads(Path("report.json").read_text())["items"]
    assert [len(page["outputs"]) > 2 for page in item["pages"]] == [True, True]
    assert item["pages"][1]["classes"] == areas["classes"]
    result = run(*words, "-o", "one.png")
    assert result.code == 1
    assert "a folder takes a file each, and --frames first takes the first" in result.err
    assert run(*words, "-o", "one.png", "--frames", "first").code == 0


def test_overlays_in_another_format(run: Run, network: Path) -> None:
    save("a.png")
    options = ["--overlay", "--format", "jpg", "--device", "cpu", "-q"]
    assert run("segment", "a.png", "-n", network, "-o", "out", *options).code == 0
    assert Image.open("out/a_overlay.jpg").format == "JPEG"
    assert Image.open("out/a.png").format == "PNG"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "-o", "x.jpg", "-n", "{network}"], "class maps are PNG"),
        (["a.png", "-o", "x.png", "--areas", "-n", "{network}"], "several results"),
        (["a.png", "-o", "x.png", "--masks", "-n", "{network}"], "--masks makes several"),
        (["none.png", "-o", "out", "-n", "{network}"], "none.png: No such file"),
        (["a.png", "-o", "out", "-n", "a.png"], "no network.bin's size"),
        (["a.png", "-o", "out", "-n", "faces.safetensors"], "holds a dcgan network"),
    ],
)
def test_what_is_wrong_is_said(
    run: Run, network: Path, arguments: list[str], message: str
) -> None:
    save("a.png")
    assert run("init", "dcgan", "faces.safetensors", "-q").code == 0
    result = run("segment", *[word.format(network=network) for word in arguments])
    assert result.code == 2 and message in result.err and "Traceback" not in result.err
    assert not Path("out").exists()
