"""facegen run: arrays and pictures through networks of any kind."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

import facegen
from facegen import system
from facegen.graphs import End, GraphNetwork, write
from facegen.nn import (
    Add,
    Affine,
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    Log,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Sub,
)
from random_weights import random_weights

HALVES = Shape(4, 6, 3)


def save(graph: Graph, path: str) -> facegen.GraphModel:
    facegen.save(path, graph, random_weights(graph, np.random.default_rng(1)))
    return facegen.load(path, device="cpu")


@pytest.fixture
def two(tmp_path: Path) -> facegen.GraphModel:
    """Two inputs, two outputs."""
    g = Graph("two")
    left, right = g.input("left", Shape(4, 5, 2)), g.input("right", Shape(4, 5, 2))
    g.output(g.add("sum", Add(), left, right))
    g.output(g.add("mean", GlobalAvgPool2d(), left))
    return save(g, "two.safetensors")


@pytest.fixture
def inverse(tmp_path: Path) -> None:
    """A negative of pictures of 4x6, of 0 to 1."""
    g = Graph("inverse")
    g.output(g.add("negative", Affine(-1, 1), g.input("picture", HALVES)))
    save(g, "inverse.safetensors")


@pytest.fixture
def classifier(tmp_path: Path) -> facegen.GraphModel:
    """Channel c's mean is the score of class c."""
    g = Graph("classifier")
    x = g.add("mean", GlobalAvgPool2d(), g.input("picture", HALVES))
    g.output(g.add("scores", Linear(3, 3, bias=False), x))
    facegen.save("classes.safetensors", g, {"scores.weight": np.eye(3, dtype=np.float32)})
    return facegen.load("classes.safetensors", device="cpu")


def picture(name: str, *colour: int, size: tuple[int, int] = (6, 4)) -> None:
    Image.new("RGB", size, colour or (255, 0, 51)).save(name)


def arrays(n: int = 5) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.random.default_rng(2).random((2, n, 2, 4, 5), np.float32)
    np.save("a.npy", a)
    np.save("b.npy", b)
    return a, b


def test_arrays(run: Run, two: facegen.GraphModel) -> None:
    a, b = arrays()
    result = run("run", "two.safetensors", "a.npy", "b.npy", "-o", "out/", "--device", "cpu")
    assert result.code == 0 and "out/: 5 rows on cpu" in result.out, result
    np.testing.assert_array_equal(np.load("out/sum.npy"), a + b)
    np.testing.assert_array_equal(np.load("out/mean.npy"), two(a, b)[1])
    result = run("run", "two.safetensors", "right=a.npy", "left=b.npy", "-o", "named/")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(np.load("named/mean.npy"), two(b, a)[1])


def test_outputs_whose_names_are_one_as_files(run: Run) -> None:
    g = Graph("alike")
    x = g.input("x", HALVES)
    names = ["a/b", "a_b", "a_b.2"]
    for i in range(3):
        g.output(g.add(f"y{i}", Affine(i + 2), x))
    ends = tuple(End(name, (3, 4, 6)) for name in names)
    write("alike.safetensors", GraphNetwork(g, {}, (End("x", (3, 4, 6)),), ends))
    images = np.random.default_rng(1).random((2, 3, 4, 6), np.float32)
    np.save("x.npy", images)
    result = run("run", "alike.safetensors", "x.npy", "-o", "out/", "--device", "cpu")
    assert result.code == 0, result.err
    for i, name in enumerate(["a_b", "a_b.2", "a_b.2.2"]):
        np.testing.assert_array_equal(np.load(f"out/{name}.npy"), images * (i + 2))
    picture("cat.png")
    result = run("run", "alike.safetensors", "cat.png", "-o", "pictures/", "--device", "cpu")
    assert result.code == 0, result.err
    files = sorted(path.name for path in Path("pictures").glob("*.npy"))
    assert files == ["cat_a_b.2.2.npy", "cat_a_b.2.npy", "cat_a_b.npy"]


def test_arrays_channels_last(run: Run, two: facegen.GraphModel) -> None:
    a, b = arrays(3)
    for name, x in (("a", a), ("b", b)):
        np.save(f"{name}.npy", x.transpose(0, 2, 3, 1).astype(np.float64))
    words = ["run", "two.safetensors", "a.npy", "b.npy", "-o", "out/"]
    assert run(*words, "--layout", "NHWC").code == 0
    np.testing.assert_array_equal(np.load("out/sum.npy"), (a + b).transpose(0, 2, 3, 1))
    result = run(*words, "--overwrite")
    assert result.code == 2
    assert "a.npy: expected an array (n, 2, 4, 5) for the input left, found (3, 4, 5, 2)" in (
        result.err
    )


def test_many_rows_in_batches(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    g = Graph("row")
    g.output(g.add("relu", ReLU(), g.input("x", Shape(1, 5, 3))))
    weights: dict[str, np.ndarray] = {}
    ends = [(End(name, (3, 5)),) for name in ("x", "relu")]
    write("row.safetensors", GraphNetwork(g, weights, *ends))
    monkeypatch.setattr(facegen.engine.Runner, "chunk", 7)
    for layout, shape in (("NCHW", (100, 3, 5)), ("NHWC", (100, 5, 3))):
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float16)
        np.save("x.npy", np.asfortranarray(x))
        words = ["run", "row.safetensors", "x.npy", "-o", "y.npy", "--layout", layout]
        assert run(*words, "--overwrite").code == 0
        np.testing.assert_array_equal(np.load("y.npy"), np.maximum(x, 0).astype(np.float32))


def test_long_names_of_outputs(run: Run) -> None:
    """A file's name has up to 255 bytes; these are 300 letters of two each, alike at first."""
    g = Graph("long")
    x = g.input("x", Shape(1, 1, 2))
    for name in ("a", "b"):
        g.output(g.add(name, ReLU(), x))
    ends = tuple(End("ü" * 300 + last, (2,)) for last in "ab")
    write("long.safetensors", GraphNetwork(g, {}, (End("x", (2,)),), ends))
    np.save("x.npy", np.ones((1, 2), np.float32))
    assert run("run", "long.safetensors", "x.npy", "-o", "out/").code == 0
    assert sorted(os.listdir("out")) == ["ü" * 75 + ".2.npy", "ü" * 75 + ".npy"]


def test_our_networks_too(run: Run, tmp_path: Path) -> None:
    latents = facegen.networks.dcgan.latents(range(2))
    np.save("z.npy", latents)
    words = ["run", "default", "z.npy", "-o", "faces.npy", "--layout", "NHWC", "--device", "cpu"]
    assert run(*words).code == 0
    want = facegen.Generator(device="cpu")(latents)
    np.testing.assert_array_equal(np.load("faces.npy"), want)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("a.npy -o out/", "an array for each input of the network, left (n, 2, 4, 5), right"),
        ("left=a.npy left=b.npy -o out/", "the input left is there twice"),
        ("left=a.npy b.npy -o out/", "expected every input by its name, or none; found left named"),
        ("a.npy b.npy -o x.npy", "is one file, and there are several outputs (sum, mean)"),
        ("a.npy b.npy -o x.txt", "x.txt: expected a .npy or a folder"),
        ("a.npy short.npy -o out/", "short.npy: has 2 rows, a.npy has 5"),
        ("a.npy cat.png -o out/", "expected arrays (.npy) or pictures, found both"),
        ("a.npy b.npy", "-o names where results go; these are no scores of classes"),
        ("a.npy text.npy -o out/", "text.npy: not a valid .npy file"),
        ("a.npy complex.npy -o out/", "complex.npy: expected real numbers, found complex"),
        ("a.npy no.npy -o out/", "no.npy: No such file"),
        ("a.npy b.npy -o out/ --shard 0/2", "are for pictures"),
        ("cat.png -o out/", "pictures are for networks of one input"),
        ("a.npy b.npy -o out/ --range 0,1", "--range: such options are for pictures"),
        ("a.npy b.npy -o out/ --mean 0 --std 1", "--mean, --std: such options are for pictures"),
        ("a.npy b.npy -o out/ --bgr --fit crop", "--bgr, --fit: such options are for pictures"),
        ("a.npy b.npy -o out/ --labels x.txt --top 5", "--labels, --top: such options are for cl"),
    ],
)
def test_what_is_wrong_with_arrays(
    run: Run, two: facegen.GraphModel, words: str, message: str
) -> None:
    arrays()
    np.save("short.npy", np.zeros((2, 2, 4, 5), np.float32))
    np.save("complex.npy", np.zeros((5, 2, 4, 5), np.complex64))
    Path("text.npy").write_text("1 2 3")
    picture("cat.png")
    result = run("run", "two.safetensors", *words.split(), "--device", "cpu")
    assert result.code == 2 and message in result.err, result
    assert len(result.err.splitlines()) == 1
    assert not Path("x.npy").exists()


def test_nothing_is_replaced(run: Run, inverse: None) -> None:
    np.save("x.npy", np.zeros((1, 3, 4, 6), np.float32))
    result = run("run", "inverse.safetensors", "x.npy", "-o", "x.npy", "--overwrite")
    assert result.code == 2 and "are the same file" in result.err
    Path("y.npy").write_text("mine")
    result = run("run", "inverse.safetensors", "x.npy", "-o", "y.npy")
    assert result.code == 2 and "y.npy: exists (--overwrite replaces it)" in result.err


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 255)])
def test_pictures_of_pictures(run: Run, tmp_path: Path, low: int, high: int) -> None:
    """Of any range: a network that mirrors it makes negatives."""
    g = Graph("inverse")
    g.output(g.add("negative", Affine(-1, low + high), g.input("picture", HALVES)))
    save(g, "inverse.safetensors")
    picture("cat.png")
    words = ["inverse.safetensors", "cat.png", "--range", f"{low},{high}", "--device", "cpu"]
    assert run("run", *words, "-o", "negative.png").code == 0
    pixels = np.asarray(Image.open("negative.png"))
    assert pixels.shape == (4, 6, 3) and (pixels == (0, 255, 204)).all()
    assert run("run", *words, "-o", "n.npy").code == 0
    values = np.load("n.npy")
    assert values.shape == (1, 3, 4, 6)
    np.testing.assert_allclose(values[0, 1], high, atol=1e-4)


def test_a_folder_of_pictures(run: Run, inverse: None) -> None:
    Path("in/deep").mkdir(parents=True)
    picture("in/a.png")
    picture("in/deep/b.jpg", 9, 9, 9, size=(30, 20))
    Path("in/broken.png").write_text("no picture")
    words = ["run", "inverse.safetensors", "in", "-r", "--device", "cpu"]
    result = run(*words, "-o", "out")
    assert result.code == 1 and "2 done, 1 failed of 3 pictures" in result.out, result
    assert np.asarray(Image.open("out/deep/b.png")).shape == (4, 6, 3)
    assert "2 skipped" in run(*words, "-o", "out").out
    assert "2 done" in run(*words, "-o", "out", "--bgr").out  # another setting
    result = run(*words, "-o", "arrays", "--format", "npy")
    assert result.code == 1 and np.load("arrays/a.npy").shape == (3, 4, 6)
    result = run(*words, "-o", "all.npy")
    assert result.code == 2 and "broken.png" in result.err and not Path("all.npy").exists()
    Path("in/broken.png").unlink()
    assert run(*words, "-o", "all.npy", "--layout", "NHWC").code == 0
    both = np.load("all.npy")
    assert both.shape == (2, 4, 6, 3)
    np.testing.assert_allclose(both[0, 0, 0], [0, 1, 0.8], atol=1e-6)


def test_several_outputs_of_a_picture(run: Run, tmp_path: Path) -> None:
    g = Graph("several")
    x = g.input("picture", HALVES)
    g.output(g.add("pool", MaxPool2d(2), x))
    g.output(g.add("mean", GlobalAvgPool2d(), x))
    save(g, "several.safetensors")
    picture("cat.png")
    result = run("run", "several.safetensors", "cat.png", "-o", "out/")
    assert result.code == 0, result.err
    assert np.load("out/cat_pool.npy").shape == (3, 2, 3)
    assert np.load("out/cat_mean.npy").shape == (3,)
    result = run("run", "several.safetensors", "cat.png", "-o", "out.png")
    assert result.code == 2 and "pictures are written of one output of 1 or 3 cha" in result.err


def test_classes_of_pictures(run: Run, classifier: facegen.GraphModel) -> None:
    picture("red.png", 255, 0, 0)
    picture("blue.png", 0, 0, 255)
    Path("names.txt").write_text("red\ngreen\nblue\n")
    words = ["run", "classes.safetensors", "red.png", "blue.png", "--device", "cpu"]
    result = run(*words, "--labels", "names.txt", "--top", "2")
    assert result.code == 0, result.err
    lines = result.out.splitlines()
    e = np.e / (np.e + 2)
    assert lines[0] == "red.png" and lines[1] == f"   {e:.1%}    0  red"
    assert lines[3] == "blue.png" and lines[4].endswith("2  blue")
    assert run(*words, "--bgr").out.splitlines()[1].split()[1] == "2"
    assert run(*words, "--json", "report.json").code == 0
    report = json.loads(Path("report.json").read_text())
    assert report["items"][1]["classes"][0]["id"] == 2
    result = run(*words, "--layout", "NHWC")
    assert result.code == 2 and "--layout: such options are for arrays" in result.err
    result = run(*words, "--labels", "red.png")
    assert result.code == 2 and "no UTF-8" in result.err


def test_mean_std_and_classes_of_arrays(run: Run, classifier: facegen.GraphModel) -> None:
    picture("grey.png", 51, 102, 153)
    words = ["run", "classes.safetensors", "grey.png", "--mean", "0.1,0.2,0.3", "--std", "0.5"]
    assert run(*words, "-o", "scores.npy", "--device", "cpu").code == 0
    np.testing.assert_allclose(np.load("scores.npy"), [[0.2, 0.4, 0.6]], atol=1e-5)
    np.save("x.npy", np.eye(3, dtype=np.float32)[:, :, None, None] * np.ones((4, 6), "f4"))
    result = run("run", "classes.safetensors", "x.npy", "--top", "1")
    assert [line.split()[-1] for line in result.out.splitlines()[1::2]] == ["0", "1", "2"]


def test_probabilities_are_shown_as_they_are(run: Run, tmp_path: Path) -> None:
    g = Graph("softmax")
    x = g.add("mean", GlobalAvgPool2d(), g.input("picture", HALVES))
    g.output(g.add("softmax", Softmax(), x))
    save(g, "softmax.safetensors")
    picture("white.png", 255, 255, 255)
    result = run("run", "softmax.safetensors", "white.png", "--top", "1")
    assert "   33.3%    0" in result.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--range 1", "expected 2 numbers with commas between them, found '1'"),
        ("--range 0,nan", "expected 2 numbers"),
        ("--range 1,1", "the two ends of a range not equal"),
        ("--std 0", "std must not be 0"),
        ("--mean 1,2", "expected 1 or 3 numbers"),
        ("-o out.txt", "out.txt: pictures are written as .png"),
        ("-o out.png --top 5", "--top: such options are for classes, which are printed without -o"),
        ("-o out.npy --labels x.txt", "--labels: such options are for classes"),
        ("-o out.png --layout NCHW", "--layout: such options are for arrays"),
        ("-o out --layout NHWC", "--layout: such options are for arrays"),
        ("-o out.npy --format png", "go with a folder of results"),
        ("", "-o names where results go; these are no scores of classes: negative (n, 3, 4, 6)"),
    ],
)
def test_what_is_wrong_with_pictures(run: Run, inverse: None, words: str, message: str) -> None:
    picture("cat.png")
    result = run("run", "inverse.safetensors", "cat.png", *words.split(), "--device", "cpu")
    assert result.code == 2 and message in result.err, result
    assert len(result.err.splitlines()) == 1


def test_grey_networks_and_crops(run: Run, tmp_path: Path) -> None:
    g = Graph("grey")
    g.output(g.add("conv", Conv2d(1, 1, 1), g.input("picture", Shape(4, 4, 1))))
    weights = {"conv.weight": np.ones((1, 1, 1, 1), "f4"), "conv.bias": np.zeros(1, "f4")}
    facegen.save("grey.safetensors", g, weights)
    image = Image.new("RGB", (12, 4), (0, 0, 0))
    image.paste((255, 255, 255), (4, 0, 8, 4))
    image.save("bar.png")
    words = ["run", "grey.safetensors", "bar.png", "--device", "cpu"]
    assert run(*words, "-o", "crop.png", "--fit", "crop").code == 0
    assert (np.asarray(Image.open("crop.png")) == 255).all()
    assert run(*words, "-o", "all.png").code == 0
    stretched = np.asarray(Image.open("all.png"))
    assert stretched.shape == (4, 4) and stretched[0, 0] < 100 < stretched[0, 2]


def test_sizes(run: Run, inverse: None) -> None:
    picture("wide.png", size=(31, 7))
    picture("high.png", size=(5, 9))
    words = ["run", "inverse.safetensors", "wide.png", "high.png", "--device", "cpu"]
    assert run(*words, "-o", "own", "--size", "own").code == 0
    assert np.asarray(Image.open("own/wide.png")).shape == (7, 31, 3)
    assert np.asarray(Image.open("own/high.png")).shape == (9, 5, 3)
    assert run(*words, "-o", "x.npy", "--size", "8,10").code == 0
    assert np.load("x.npy").shape == (2, 3, 8, 10)
    result = run(*words, "-o", "y.npy", "--size", "own")
    assert result.code == 2 and "of several sizes; name a folder" in result.err
    result = run("run", "inverse.safetensors", "x.npy", "-o", "y.npy", "--size", "own")
    assert result.code == 0, result.err  # arrays say their size
    np.testing.assert_allclose(np.load("y.npy"), 1 - np.load("x.npy"), atol=1e-6)
    result = run(*words, "-o", "own", "--size", "8x8")
    assert result.code == 2 and "expected HEIGHT,WIDTH or own, found '8x8'" in result.err


def test_help_shows_how(run: Run) -> None:
    result = run("run", "--help")
    assert "facegen run network.onnx input.npy -o output.npy" in result.out
    assert "--mean 0.485,0.456,0.406" in result.out


@pytest.mark.parametrize("option", ["--std=1e-50", "--range=0,1e39", "--mean=1e39"])
def test_numbers_beyond_float32_are_refused(run: Run, option: str) -> None:
    graph = Graph("picture")
    graph.output(graph.add("relu", ReLU(), graph.input("x", HALVES)))
    save(graph, "m.safetensors")
    Image.new("RGB", (6, 4)).save("p.png")
    result = run("run", "m.safetensors", "p.png", option, "-o", "out/")
    assert result.code == 2, result.err
    assert "within float32" in result.err or "std must not be 0" in result.err
    assert not Path("out").exists()


def test_input_names_with_an_equals_sign(run: Run) -> None:
    g = Graph("difference")
    x, y = g.input("x", Shape(1, 1, 2)), g.input("y", Shape(1, 1, 2))
    g.output(g.add("difference", Sub(), x, y))
    ends = End("a", (2,)), End("a=b", (2,))
    write("d.safetensors", GraphNetwork(g, {}, ends, (End("out", (2,)),)))
    np.save("one.npy", np.ones((1, 2), np.float32))
    np.save("three.npy", np.full((1, 2), 3, np.float32))
    words = ["run", "d.safetensors", "-o", "out.npy", "--device", "cpu"]
    result = run(*words, "a=b=three.npy", "a=one.npy")
    assert result.code == 0, result.err
    np.testing.assert_array_equal(np.load("out.npy"), [[-2, -2]])
    result = run(*words, "a=b=one.npy", "a=b=three.npy", "--overwrite")
    assert result.code == 2 and "the input a=b is there twice" in result.err


@pytest.fixture
def logarithm(tmp_path: Path) -> None:
    """Scores whose logarithm is taken: black has none."""
    g = Graph("log")
    x = g.add("mean", GlobalAvgPool2d(), g.input("picture", HALVES))
    g.output(g.add("log", Log(), x))
    save(g, "log.safetensors")


def test_rows_that_are_not_finite_are_said(run: Run, logarithm: None) -> None:
    x = np.ones((20, 3, 4, 6), np.float32)
    x[11, 1], x[17, 1] = 0, -1
    np.save("x.npy", x)
    words = ["run", "log.safetensors", "x.npy", "--device", "cpu"]
    result = run(*words, "-o", "y.npy", "--quiet")
    assert result.code == 1, result
    assert result.err == (
        "facegen: y.npy: output log is not finite in 2 of 20 rows, first in x.npy[11]\n"
    )
    y = np.load("y.npy")
    assert np.isneginf(y[11, 1]) and np.isnan(y[17, 1]) and np.isfinite(y).sum() == 58
    result = run(*words, "--top", "1")
    assert result.code == 1, result
    assert "failed: x.npy[11]: output log is not finite: -inf at [1]" in result.err
    assert len(result.out.splitlines()) == 2 * 18 and "nan" not in result.out


def test_pictures_whose_results_are_not_finite_fail_alone(run: Run, logarithm: None) -> None:
    picture("red.png", 255, 0, 0)
    picture("grey.png", 51, 51, 51)
    words = ["run", "log.safetensors", "red.png", "grey.png", "--device", "cpu"]
    result = run(*words)
    assert result.code == 1, result
    assert "failed: red.png: output log is not finite: -inf at [1]" in result.err
    assert result.out.startswith("grey.png\n   33.3%")
    result = run(*words, "-o", "out/")
    assert result.code == 1 and "1 done, 1 failed of 2 pictures" in result.out
    assert [path.name for path in Path("out").glob("*.npy")] == ["grey.npy"]
    result = run(*words, "-o", "all.npy")
    assert result.code == 1
    assert "all.npy: output log is not finite in 1 of 2 pictures, first in red.png" in result.err
    assert np.isfinite(np.load("all.npy")[1]).all()


def test_sizes_that_no_memory_holds(run: Run, inverse: None) -> None:
    picture("cat.png")
    result = run("run", "inverse.safetensors", "cat.png", "-o", "x.png", "--size", "32767,32767")
    assert result.code == 2, result
    needed = 4 * 2 * 3 * 32767**2
    assert f"one image of inverse: takes {needed:,} bytes of memory, and there are " in result.err
    assert len(result.err.splitlines()) == 1 and not Path("x.png").exists()


def test_chunks_that_no_memory_holds(
    run: Run, inverse: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One image fits; those that are under way at once do not."""
    picture("a.png")
    picture("b.png")
    monkeypatch.setattr(system, "memory_bytes", lambda: 600)
    words = ["run", "inverse.safetensors", "a.png", "b.png", "-o", "x.npy", "--device", "cpu"]
    result = run(*words)
    assert result.code == 2 and "2 pictures at once: takes 1,728 bytes of memory" in result.err
    assert not Path("x.npy").exists()


@pytest.mark.parametrize("output", ["x.npy", "x.png", "out/"])
def test_a_picture_that_no_memory_holds(
    run: Run, inverse: None, monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    """What goes in and comes out fits; what is prepared beside it does not."""
    picture("a.png")
    monkeypatch.setattr(system, "memory_bytes", lambda: 600)
    result = run("run", "inverse.safetensors", "a.png", "-o", output, "--device", "cpu")
    assert result.code == 2 and ": takes 864 bytes of memory" in result.err, result
    assert not Path(output).exists()
