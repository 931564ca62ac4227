"""facegen lab: what its experiments print and write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Run
from PIL import Image

from facegen.cli.lab import EXPERIMENTS
from facegen.lab.plots.canvas import FORMATS


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_help_teaches_by_example(run: Run, name: str) -> None:
    result = run("lab", name, "--help")
    assert result.code == 0 and f"  facegen lab {name}" in result.out.partition("Examples:")[2]
    assert all(f"--{option} " in result.out for option in ("json", "plot", "quiet", "debug"))


def test_cost_of_stacks(run: Run) -> None:
    result = run("lab", "cost", "3x3xC x3", "7x7xC", "--json", "cost.json")
    assert result.code == 0 and result.err == ""
    assert "27 C²" in result.out and "49 C²" in result.out and "1.81x" in result.out
    three, seven = json.loads(Path("cost.json").read_text())["subjects"]
    assert (three["weights"], seven["weights"]) == (27 * 64**2, 49 * 64**2)
    assert three["field"] == seven["field"] == ["7", "7"]
    assert len(three["layers"]) == 3


def test_cost_of_networks(run: Run) -> None:
    result = run("lab", "cost", "alexnet", "--plot", "alexnet.png")
    assert result.code == 0 and "conv 11x11/4" in result.out and "61,100,840" in result.out
    with Image.open("alexnet.png") as image:
        assert image.format == "PNG"
    assert run("lab", "cost", "lenet", "default:lenet", "--json", "-").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["vgg"], "expected a file, a stack as '3x3x64 x3', or a network among alexnet"),
        (["absent.onnx"], "absent.onnx: "),
        (["3x3x64 y"], "found 'y'"),
        (["3x3x64", "--size", "1000000x1000000"], "too large"),
        (["3x3x64", "--size", "0x5"], "expected HEIGHTxWIDTH as 56x56"),
        (["3x3x64", "--plot", "cost.gif"], f"expected a name with {', '.join(FORMATS)}"),
        (["3x3x64", "--plot", "away/cost.png"], "there is no folder away"),
        (["3x3x64", "--plot", "-"], "expected a name with"),
        (["vgg16", "--size", "8x8"], "--size: expected a stack to give it to"),
    ],
)
def test_cost_refuses(run: Run, words: list[str], message: str) -> None:
    result = run("lab", "cost", *words)
    assert result.code == 2 and message in result.err and not list(Path().iterdir())
    assert len(result.err.splitlines()) == 1


def rows_of(path: str) -> dict[str, Any]:
    report = json.loads(Path(path).read_text())
    assert report["machine"]["processor"] and report["machine"]["date"]
    return report


def is_picture(path: str) -> bool:
    with Image.open(path) as image:
        return image.format == "PNG" and min(image.size) > 100


def test_gemm(run: Run) -> None:
    result = run("lab", "gemm", "--size", "8,4x5x6", "--seconds", "0.01", "--clock", "processor",
                 "--json", "a.json", "--plot", "a.png")  # fmt: skip
    assert result.code == 0 and result.err == ""
    assert "8x8x8" in result.out and "4x5x6" in result.out and "NumPy" in result.out
    report = rows_of("a.json")
    assert report["machine"]["threads"] == 1 and report["machine"]["clock"] == "processor"
    assert [size["k"] for size in report["sizes"]] == [8, 6] and is_picture("a.png")


def test_threads(run: Run) -> None:
    words = ["-n", "lenet", "--size", "6", "--channels", "4", "--batch", "1", "--threads", "2,1"]
    outputs = ["--json", "a.json", "--plot", "a.png"]
    result = run("lab", "threads", *words, "--seconds", "0.01", *outputs)
    assert result.code == 0 and result.err == "" and "lenet, 1 at a time" in result.out
    for points in rows_of("a.json")["subjects"].values():
        assert [point["threads"] for point in points] == [1, 2]
    assert is_picture("a.png")


def test_bus(run: Run) -> None:
    result = run("lab", "bus", "--images", "2", "--size", "16x24", "--format", "bmp", "--device",
                 "cpu", "--seconds", "0.01", "--json", "a.json", "--plot", "a.png")  # fmt: skip
    assert result.code == 0 and result.err == "" and "<- the slowest" in result.out
    report = rows_of("a.json")
    slowest = min(report["stages"], key=lambda stage: stage["pictures_per_second"])
    assert report["bottleneck"] == slowest["stage"] and is_picture("a.png")


@pytest.mark.parametrize(
    "sweep", [[], ["--kernel", "1,3"], ["--kernel", "1,3", "--channels", "2,3:4"]], ids=len
)
def test_conv(run: Run, sweep: list[str]) -> None:
    words = ["--size", "6x7", "--channels", "3:4", "--threads", "1", "--seconds", "0.01", *sweep]
    result = run("lab", "conv", *words, "--json", "a.json", "--plot", "a.png")
    assert result.code == 0 and result.err == "" and "naive" in result.out
    layers = rows_of("a.json")["layers"]
    assert len(layers) == (1 if not sweep else len(sweep))  # 1, 2 or 2 x 2
    for layer in layers:
        names = [each["algorithm"] for each in layer["results"] if "seconds" in each]
        assert layer["first"] in names and "direct" in names
    assert is_picture("a.png")


def test_conv_by_some_algorithms(run: Run) -> None:
    words = ["--size", "6", "--channels", "2", "--seconds", "0.01", "--algorithm", "direct,naive"]
    report = json.loads(run("lab", "conv", *words, "--json", "-").out)
    (layer,) = report["layers"]
    assert [each["algorithm"] for each in layer["results"]] == ["naive", "direct"]


def test_precision(run: Run) -> None:
    words = ["--length", "64,8", "--values", "normal", "--fixed", "4,4"]
    result = run("lab", "precision", *words, "--json", "a.json", "--plot", "a.png")
    assert result.code == 0 and result.err == "" and "K = 64" in result.out
    errors = json.loads(Path("a.json").read_text())["errors"]
    assert set(errors["fixed <4,4>, stochastic"]) == {"8", "64"} and is_picture("a.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["conv", "--size", "1000000x1000000"], "too large"),
        (["conv", "--size", "30000x30000", "--batch", "1000"], "bytes of memory"),
        (["conv", "--kernel", "99", "--padding", "0"], "does not fit into its input"),
        (["conv", "--kernel", "3,0"], "expected whole numbers from 1 to 255"),
        (["conv", "--channels", "3:0"], "expected channels as 64,128 or IN:OUT"),
        (["conv", "--algorithm", "magic"], "expected some of naive"),
        (["conv", "--threads", "2", "--clock", "processor"], "expected --threads 1"),
        (["gemm", "--size", "0"], "expected numbers from 1 to 1,048,576"),
        (["gemm", "--size", "8,8"], "different sizes"),
        (["gemm", "--size", "1000000x1000000x1000000"], "bytes of memory"),
        (["gemm", "--clock", "processor", "--threads", "2"], "expected --threads 1"),
        (["gemm", "--threads", "1024"], "--threads 1,024: expected up to"),
        (["bus", "--threads", "1024"], "--threads 1,024: expected up to"),
        (["gemm", "--seconds", "nan"], "not a finite number"),
        (["precision", "--length", "0"], "expected whole numbers from 1 to 131,072"),
        (["precision", "--fixed", "20,8"], "24 in all"),
        (["precision", "--fixed", "8"], "expected 2 numbers"),
        (["precision", "--length", "8,8"], "different numbers"),
        (["threads", "--threads", "1,0"], "expected whole numbers from 1 to 1,024"),
        (["threads", "-n", "3x3xC"], "3x3xC: expected a file, or a network among alexnet"),
        (["threads", "--size", "1000000x1000000"], "too large"),
        (["bus", "-n", "dcgan"], "expected a network of"),
        (["bus", "--images", "100000", "--size", "50000x50000"], "bytes of memory"),
        (["bus", "--size", "65501x1"], "1 x 65,501 pixels: a JPEG has at most 65,500 a side"),
        # Before anything else is checked or measured.
        (["bus", "--folder", "away", "--size", "100000x100000"], "away: there is no such folder"),
    ],
)
def test_what_is_refused(run: Run, words: list[str], message: str) -> None:
    result = run("lab", *words)
    assert result.code == 2 and message in result.err and not list(Path().iterdir())
    assert len(result.err.splitlines()) == 1
