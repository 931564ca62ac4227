"""facegen colorize."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from command_line import Run, start
from PIL import Image, ImageCms

import facegen
from facegen import Colorizer
from facegen.cli.main import main
from facegen.colour.lab import rgb_to_lightness
from facegen.media import colorization
from facegen.media.colorization import with_colours
from facegen.networks import files
from facegen.photos import png_chunks
from facegen.photos.frames import frames
from facegen.photos.photo import decode
from shared_data import SHARED_DATA

ODD = SHARED_DATA / "odd-pictures"
GREY = np.add.outer(np.arange(40), 3 * np.arange(60)).astype(np.uint8)


class Tinter:
    """In place of the network: colours that follow the lightness."""

    weights: dict[str, np.ndarray] = {"factor": np.float32([0.5])}
    arithmetic = {"precision": "float32", "algorithm": "auto"}
    runner = SimpleNamespace(device="cpu", isa="none", threads=1, batch=4)

    def __init__(self, network: str | None, **options: object) -> None:
        self.network = network

    prepare, finish = Colorizer.prepare, Colorizer.finish

    def compute(self, prepared: Sequence[np.ndarray]) -> np.ndarray:
        lightness = np.stack(prepared)
        return np.stack([0.4 * lightness, 30 - 0.5 * lightness], axis=1).astype(np.float32)


@pytest.fixture
def tinter(monkeypatch: pytest.MonkeyPatch) -> Tinter:
    monkeypatch.setattr(facegen, "Colorizer", Tinter, raising=False)
    monkeypatch.setattr(files, "resolve", lambda path, network: "no file")
    return Tinter(None)


def save(path: str, image: np.ndarray | Image.Image = GREY, **options: object) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path, **options)


def expected(tinter: Tinter, rgb: np.ndarray, strength: float = 1.0) -> np.ndarray:
    ab = tinter.compute([colorization.network_lightness(rgb)])[0]
    return with_colours(rgb, ab, strength)


def read(path: str) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_folder(run: Run, tinter: Tinter) -> None:
    save("photos/a.png")
    save("photos/sub/b.tif", GREY[:7, :9])
    Path("photos/bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    result = run("colorize", "photos", "-r", "-o", "out", "--json", "report.json")
    assert result.code == 1
    assert result.err.startswith("facegen: failed: photos/bad.jpg: ")
    assert result.out.startswith("out: 2 done, 1 failed of 3 pictures in ")
    assert result.out.endswith("on cpu (none, 1 thread)\n")
    np.testing.assert_array_equal(read("out/a.png"), expected(tinter, GREY))
    np.testing.assert_array_equal(read("out/sub/b.png"), expected(tinter, GREY[:7, :9]))
    report = json.loads(Path("report.json").read_text())
    assert report["command"] == "colorize" and report["strength"] == 1 and report["device"] == "cpu"
    assert report["counts"] == {"in": 3, "done": 2, "failed": 1, "skipped": 0, "passed_over": 0}
    assert [item["status"] for item in report["items"]] == ["done", "failed", "done"]
    result = run("colorize", "photos", "-r", "-o", "out", "--json", "report.json")
    assert result.code == 1 and result.out.startswith("out: 0 done, 1 failed, 2 skipped of 3")
    assert "pictures/s" not in result.out
    assert json.loads(Path("report.json").read_text())["counts"]["skipped"] == 2
    Path("photos/bad.jpg").unlink()
    assert run("colorize", "photos", "-r", "-o", "out", "--quiet") == (0, "", "")
    result = run("colorize", "photos", "-r", "-o", "out", "--strength", "0.5")
    assert result.out.startswith("out: 2 done of 2 ")
    np.testing.assert_array_equal(read("out/a.png"), expected(tinter, GREY, 0.5))


def test_what_is_passed_over_is_said(run: Run, tinter: Tinter) -> None:
    """Once, by the first of several shares."""
    save("photos/a.png")
    save("photos/b.png")
    Path("photos/raw.NEF").write_bytes(b"x")
    options = ("photos", "-o", "out", "--json", "report-{shard}.json", "--shard")
    for part, passed_over in ((0, ["photos/raw.NEF"]), (1, [])):
        result = run("colorize", *options, f"{part}/2")
        said = "1 .nef (first photos/raw.NEF): raw of a camera, to be developed"
        assert result.err == (f"facegen: passed over: {said}\n" if passed_over else "")
        assert result.code == 0
        report = json.loads(Path(f"report-{part}.json").read_text())
        assert report["counts"]["passed_over"] == len(passed_over)
        assert report["passed_over"] == passed_over


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff", "a.bmp"])
def test_formats(run: Run, tinter: Tinter, name: str) -> None:
    save("photos/" + name)
    assert run("colorize", "photos", "-o", "out", "--format", "same").code == 0
    kinds = {"a.jpg": "JPEG", "a.webp": "WEBP", "a.tiff": "TIFF", "a.bmp": "BMP"}
    assert Image.open(f"out/{name}").format == kinds.get(name, "PNG")
    assert run("colorize", "photos", "-o", "as-png").code == 0
    lightness = decode(Path("photos", name).read_bytes()).pixels  # as it was stored
    np.testing.assert_array_equal(read("as-png/a.png"), expected(tinter, lightness))


def test_alpha_profile_and_orientation_stay(run: Run, tinter: Tinter) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to the right
    image = Image.fromarray(np.repeat(GREY[..., np.newaxis], 3, axis=2))
    alpha = np.uint8(GREY[::-1] | 1)
    image.putalpha(Image.fromarray(alpha))
    save("a.png", image, icc_profile=profile, exif=exif)
    assert run("colorize", "a.png", "-o", "b.png").code == 0
    result = Image.open("b.png")
    assert result.mode == "RGBA" and result.info["icc_profile"] == profile
    assert 0x0112 not in result.getexif()  # it is upright now
    np.testing.assert_array_equal(np.asarray(result)[..., 3], np.rot90(alpha, -1))
    colours = expected(tinter, np.rot90(GREY, -1))
    np.testing.assert_array_equal(np.asarray(result)[..., :3], colours)


def test_what_pictures_say_stays_unless_it_is_stripped(run: Run, tinter: Tinter) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Box Brownie"
    save("photos/a.jpg", exif=exif, dpi=(300, 300), comment=b"in the garden")
    for format_ in ("jpg", "png", "tiff", "webp"):
        words = ["colorize", "photos", "-o", format_, "--format", format_, "-q"]
        assert run(*words).code == 0
        with Image.open(f"{format_}/a.{format_}") as result:
            tags = result.getexif()
            assert tags[0x010F] == "Box Brownie" and 0x0112 not in tags
            assert result.size == GREY.shape
            if format_ != "webp":
                assert round(float(result.info["dpi"][0])) == 300
        assert run(*words, "--strip").code == 0  # made anew: another setting
        with Image.open(f"{format_}/a.{format_}") as result:
            assert not set(result.getexif()) & {0x010F, 0x0112}
            assert "comment" not in result.info and "Comment" not in result.info
            assert result.info.get("dpi") in (None, (1, 1))  # as Pillow says what is not there


@pytest.mark.skipif(not ODD.is_dir(), reason=f"no {ODD}: the odd pictures are not here")
def test_odd_pictures_do_not_end_the_run(run: Run, tinter: Tinter) -> None:
    """A profile that can only be read from, EXIF and chunks that are none of theirs."""
    save("photos/a.png")
    for name in os.listdir(ODD):
        if name.endswith((".png", ".jpg", ".webp", ".tif", ".bmp")):
            Path("photos", name).write_bytes((ODD / name).read_bytes())
    count = len(os.listdir("photos"))
    for format_ in ("same", "jpg"):
        result = run("colorize", "photos", "-o", format_, "--format", format_)
        assert result.code == 0 and result.err == ""
        assert result.out.startswith(f"{format_}: {count} done of {count} pictures")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "I;16", "LA"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 5000)])
def test_odd_pictures(run: Run, tinter: Tinter, mode: str, shape: tuple[int, int]) -> None:
    grey = np.resize(GREY, shape)
    image = Image.fromarray(grey.astype(np.uint16) * 257 if mode == "I;16" else grey)
    save("a.tif", image if mode == "I;16" else image.convert(mode))
    result = run("colorize", "a.tif", "-o", "b.png")
    assert result.code == 0, result.err
    assert Image.open("b.png").size == shape[::-1]


def test_strength_0_is_grey(run: Run, tinter: Tinter) -> None:
    save("a.png")
    assert run("colorize", "a.png", "-o", "b.png", "--strength", 0).code == 0
    assert np.abs(read("b.png").astype(int) - GREY[..., np.newaxis]).max() <= 1  # by way of L*a*b*


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_full_disk(run: Run, tinter: Tinter) -> None:
    save("a.png")
    Path("full.png").symlink_to("/dev/full")
    result = run("colorize", "a.png", "-o", "full.png")
    assert result.code == 1 and result.out == ""
    assert result.err == "facegen: error: full.png: No space left on device\n"


def test_shards(run: Run, tinter: Tinter) -> None:
    for i in range(5):
        save(f"photos/{i}.png", GREY[: 5 + i])
    result = run("colorize", "photos", "-o", "out", "--shard", "1/2")
    assert result.out.startswith("out: 2 done of 2 ")
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["3.png", "4.png"]
    assert run("colorize", "photos", "-o", "out").out.startswith("out: 3 done, 2 skipped of 5")
    assert run("colorize", "photos", "-o", "out", "--shard", "2/2").code == 2


def test_reports_of_shards(run: Run, tinter: Tinter) -> None:
    """One a shard; and one of all, by the run that follows."""
    for name in "abc":
        save(f"photos/{name}.png")
    Path("photos/bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    command = ["colorize", "photos", "-o", "out", "-q"]
    refused = run(*command, "--shard", "0/2", "--json", "report.json")
    assert refused.code == 2 and "report.json: all shards would write it" in refused.err
    counts = []
    for part in range(2):
        run(*command, "--shard", f"{part}/2", "--json", "report-{shard}.json")
        counts.append(json.loads(Path(f"report-{part}.json").read_text())["counts"])
    assert [(count["in"], count["failed"]) for count in counts] == [(2, 0), (2, 1)]
    assert run(*command, "--json", "report.json").code == 1
    report = json.loads(Path("report.json").read_text())
    assert report["counts"] == {"in": 4, "done": 0, "failed": 1, "skipped": 3, "passed_over": 0}
    outputs = [item.get("outputs") for item in report["items"]]
    assert outputs == [["out/a.png"], ["out/b.png"], None, ["out/c.png"]]


def test_a_shard_is_done_alone_whoever_started_it(
    run: Run, tinter: Tinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(5):
        save(f"photos/{i}.png", GREY[: 5 + i])
    step = {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    for name, value in step.items():
        monkeypatch.setenv(name, value)
    result = run("colorize", "photos", "-o", "out", "--shard", "auto")
    assert result.code == 0, result.err
    assert sorted(path.name for path in Path("out").glob("*.png")) == ["3.png", "4.png"]


def refused(run: Run, *arguments: str) -> str:
    before = sorted(os.walk("."))
    code, out, err = run("colorize", *arguments)
    assert code == 2 and out == "" and len(err.splitlines()) == 1, err
    assert sorted(os.walk(".")) == before
    return err


def test_what_is_refused(
    run: Run, tinter: Tinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("a/x.png")
    save("b/x.jpg")
    Path("empty").mkdir()
    assert "result of both a/x.png and b/x.jpg" in refused(run, "a", "b", "-o", "out")
    assert "several pictures" in refused(run, "a/x.png", "b/x.jpg", "-o", "out.png")
    assert "would replace a picture" in refused(run, "a", "-o", "a")
    assert "missing" in refused(run, "missing", "-o", "out")
    assert "no pictures" in refused(run, "empty", "-o", "out")
    assert "goes alone" in refused(run, "-", "a", "-o", "out")
    assert "exists" in refused(run, "a/x.png", "-o", "b/x.jpg")
    assert "no folder no" in refused(run, "a/x.png", "-o", "no/x.png")
    assert "exists" in refused(run, "a", "-o", "out", "--json", "b/x.jpg")
    assert "no folder no" in refused(run, "a", "-o", "out", "--json", "no/report.json")
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
        for options in (["-o", "b"], ["-o", "out", "--json", "report.json"]):
            assert "files cannot be written there" in refused(run, "a", *options)
    Path("file").write_text("")
    assert "file: File exists" in refused(run, "a", "-o", "file")
    assert "file/out: Not a directory" in refused(run, "a", "-o", "file/out")
    Path("out").mkdir()
    Path("out/x.png").write_text("precious")
    assert "out/x.png: exists, and no run" in refused(run, "a", "-o", "out")
    for strength in ("-1", "nan", "inf"):
        assert "strength" in refused(run, "a", "-o", "out", "--strength", strength)


def test_a_network_that_is_not_there(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_CACHE", "cache")
    save("a.png")
    assert "facegen fetch colorizer" in refused(run, "a.png", "-o", "b.png", "-n", "colorizer")
    assert "missing.bin: No such file" in refused(run, "a.png", "-o", "b.png", "-n", "missing.bin")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("colorize") / "network.bin"
    assert main(["init", "colorizer", "--seed", "1", str(path), "--quiet"]) == 0
    return path


@pytest.mark.parametrize("kind", ["file", "pipe", "pipe with a name", "picture's pipe"])
def test_what_is_written_as_standard_output_is(run: Run, tinter: Tinter, kind: str) -> None:
    """An open file, /dev/stdout among them, is no folder and no file that exists."""
    save("a.png")
    with open("result", "w+b") as file, ThreadPoolExecutor() as pool:
        if kind == "file":
            result = run("colorize", "a.png", "-o", f"/dev/fd/{file.fileno()}")
            file.seek(0)
            data = file.read()
        elif kind == "pipe":
            end, other = os.pipe()
            result = run("colorize", "a.png", "-o", f"/dev/fd/{other}")
            os.close(other)
            with open(end, "rb") as pipe:
                data = pipe.read()
        else:
            name = "out" if kind == "pipe with a name" else "out.jpg"
            os.mkfifo(name)
            read = pool.submit(Path(name).read_bytes)
            result = run("colorize", "a.png", "-o", name)
            data = read.result(60)
    assert result.code == 0 and result.err == ""
    assert Image.open(io.BytesIO(data)).format == ("JPEG" if kind == "picture's pipe" else "PNG")


def test_the_names_of_standard_output(run: Run, tinter: Tinter) -> None:
    """What is said goes to stderr where the picture has stdout; capfd's is a file."""
    save("a.png")
    for name in ("/dev/stdout", "/dev/fd/1"):
        result = run("colorize", "a.png", "-o", name)
        assert result.code == 0 and "PNG" in result.out and f"{name}: 1 done" in result.err
        assert "1 done" not in result.out
        result = run("colorize", "a.png", "-o", name, "--json", "-")
        assert result.code == 2 and "--output and --json cannot both be '-'" in result.err
    assert os.listdir() == ["a.png"]


@pytest.mark.parametrize(
    ("format_", "kind"), [("jpg", "JPEG"), ("webp", "WEBP"), ("gif", "GIF"), ("same", "TIFF")]
)
def test_the_format_of_what_has_no_name(
    run: Run, tinter: Tinter, format_: str, kind: str
) -> None:
    save("a.tif")
    with open("out", "wb") as out:
        name = f"/dev/fd/{out.fileno()}"
        result = run("colorize", "a.tif", "-o", name, "--format", format_, "--json", "r.json")
    assert result.code == 0 and f"{name}: 1 done" in result.err + result.out
    assert Image.open("out").format == kind
    assert json.loads(Path("r.json").read_text())["items"][0]["outputs"] == [name]


def test_the_network_itself(weights: Path, tmp_path: Path) -> None:
    """From standard input to standard output, in a process of its own."""
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "PNG")
    words = ["colorize", "-", "-o", "-", "--network", weights, "--device", "cpu"]
    process = start(words, tmp_path, stdin=subprocess.PIPE)
    out, err = process.communicate(file.getvalue(), timeout=60)
    assert process.returncode == 0, err
    line, warning = err.splitlines()
    assert b"seeded weights" in warning and line.startswith(b"-: 1 done of 1 picture in")
    expected = Colorizer(weights, device="cpu")(GREY)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(out)).convert("RGB")), expected)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_run_that_is_terminated_leaves_what_is_finished(
    weights: Path, run: Run, tmp_path: Path
) -> None:
    """Slurm's time limit sends SIGTERM; the same command again completes to the same bytes."""
    for i in range(8):
        save(f"photos/{i}.png", GREY[: 10 + i])
    words = ["colorize", "photos", "-o", "out", "--network", weights, "--device", "cpu"]
    process = start([*words, "--threads", "1"], tmp_path)
    deadline = time.monotonic() + 60
    while not list(Path("out").glob("*.png")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    finished = {path: path.read_bytes() for path in Path("out").glob("*.png")}
    assert process.returncode in (143, 0) and finished
    assert not list(Path("out").glob(".facegen-*"))  # nothing half written
    assert run(*words, "-q") == (0, "", "")
    assert run("colorize", "photos", "-o", "whole", *words[4:], "-q") == (0, "", "")
    for path in Path("whole").glob("*.png"):
        assert Path("out", path.name).read_bytes() == path.read_bytes()
    assert all(path.read_bytes() == data for path, data in finished.items())


def test_the_network_is_asked_for_first(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a clash of names, whose message has its cure."""
    monkeypatch.setenv("FACEGEN_CACHE", "none")
    save("photos/a.png")
    save("photos/a.jpg")
    result = run("colorize", "photos", "-o", "out", "-n", "colorizer")
    assert result.code == 2 and "get it with facegen fetch colorizer, or" in result.err
    assert run("init", "colorizer", "network.bin").code == 0
    result = run("colorize", "photos", "-o", "out", "-n", "network.bin")
    assert result.code == 2 and "(--format same keeps them apart)" in result.err
    assert not Path("out").exists()


def test_outputs_that_are_not_written(run: Run, tinter: Tinter) -> None:
    save("a.png")
    result = run("colorize", "a.png", "-o", "out.heic")
    assert result.code == 2 and "out.heic: pictures are written as .png" in result.err
    assert os.listdir() == ["a.png"]
    assert run("colorize", "a.png", "-o", "v1.0").code == 0
    assert read("v1.0/a.png").shape == (40, 60, 3)


def test_max_pixels(run: Run, tinter: Tinter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size - 1)  # and set back in the end
    save("large.png")
    command = ("colorize", "large.png", "-o", "out.png")
    result = run(*command)
    assert result.code == 1 and not Path("out.png").exists()
    assert "large.png: 60 x 40 pixels, more than the limit of 2,399 (--max-pixels; " in result.err
    assert run(*command, "--max-pixels", "0").code == 2
    assert run(*command, "--max-pixels", "2400").code == 0
    assert Image.open("out.png").size == (60, 40)


def test_a_picture_larger_than_the_machines_memory_is_not_begun(
    run: Run, tinter: Tinter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("facegen.system.memory_bytes", lambda: 10_000)
    save("large.png")
    result = run("colorize", "large.png", "-o", "out.png")
    assert result.code == 1 and "large.png: 60 x 40 pixels: takes 24,000 bytes of mem" in result.err


DEEP = np.add.outer(7 * np.arange(40), 1000 * np.arange(60)).astype(np.uint16)


@pytest.mark.parametrize("name", ["out.png", "out.tif"])
def test_16_bits_stay_16(run: Run, tinter: Tinter, name: str) -> None:
    """Strength 0 is the picture itself; with colours its lightness stays."""
    save("deep.tif", DEEP)
    for strength in (0, 1):
        command = ("colorize", "deep.tif", "-o", name, "--strength", strength, "--overwrite")
        assert run(*command).code == 0
        found = decode(Path(name).read_bytes(), keep_depth=True).deep
        assert found is not None
        if strength == 0:
            assert np.abs(found.astype(int) - DEEP[..., np.newaxis]).max() <= 2
        else:
            inside = (found > 0).all(axis=2) & (found < 65_535).all(axis=2)
            difference = rgb_to_lightness(found) - rgb_to_lightness(np.stack([DEEP] * 3, axis=2))
            assert inside.mean() > 0.5 and np.abs(difference[inside]).max() < 0.01
            assert np.ptp(found.astype(int), axis=2).max() > 1000


def test_depth(run: Run, tinter: Tinter) -> None:
    save("deep.png", DEEP)
    save("flat.png")
    for options, bits in (((), 16), (("--depth", 8), 8), (("--depth", 16), 16)):
        command = ("colorize", "deep.png", "-o", "out.png", "--overwrite", *options)
        assert run(*command).code == 0
        assert png_chunks.bit_depth(Path("out.png").read_bytes()) == bits
    assert run("colorize", "flat.png", "-o", "flat").code == 0
    assert png_chunks.bit_depth(Path("flat/flat.png").read_bytes()) == 8
    assert run("colorize", "flat.png", "-o", "flat", "--depth", 16).code == 0
    photo = decode(Path("flat/flat.png").read_bytes(), keep_depth=True)
    assert photo.deep is not None and len(np.unique(photo.deep[..., 0])) > 256
    assert run("colorize", "deep.png", "-o", "out.jpg").code == 0  # of 8 bits, as all JPEGs
    for words in (("-o", "x.jpg"), ("-o", "x", "--format", "webp")):
        result = run("colorize", "deep.png", *words, "--depth", 16)
        assert result.code == 2 and "has 8 bits a colour; PNG and TIFF have 16" in result.err
        assert not Path(words[1]).exists()


def test_a_document_and_an_animation(run: Run, tinter: Tinter) -> None:
    pages = [Image.fromarray(GREY[:, : 30 + 10 * i]) for i in range(3)]
    pages[0].save("scan.tif", save_all=True, append_images=pages[1:])
    assert run("colorize", "scan.tif", "-o", "out.tif").code == 0
    found = frames(Path("out.tif").read_bytes())
    assert found is not None
    for frame, page in zip(found, pages, strict=True):
        colours = frame.photo.pixels.astype(int)
        assert colours.shape[1] == page.width and np.ptp(colours, axis=2).max() > 10
    assert run("colorize", "scan.tif", "-o", "first.tif", "--frames", "first").code == 0
    assert frames(Path("first.tif").read_bytes()) is None
    result = run("colorize", "scan.tif", "-o", "out.jpg")
    assert result.code == 1 and "3 pages, and a .jpg file holds one: a folder" in result.err
    assert run("colorize", "scan.tif", "-o", "out").code == 0
    names = sorted(path.name for path in Path("out").glob("*.png"))
    assert names == ["scan.png", "scan_page2.png", "scan_page3.png"]

    walk = [Image.fromarray(np.roll(GREY, 5 * i, axis=1)) for i in range(3)]
    walk[0].save("walk.gif", save_all=True, append_images=walk[1:], duration=[50, 60, 70], loop=0)
    for name in ("walk.webp", "new.gif", "walk.png"):
        assert run("colorize", "walk.gif", "-o", name).code == 0
        found = frames(Path(name).read_bytes())
        assert found is not None and found.plays == 0
        assert [frame.milliseconds for frame in found] == [50, 60, 70]
        assert all(np.ptp(f.photo.pixels.astype(int), axis=2).max() > 10 for f in found)
