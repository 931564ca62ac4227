"""facegen lab: what its experiments print and write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

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
    ],
)
def test_cost_refuses(run: Run, words: list[str], message: str) -> None:
    result = run("lab", "cost", *words)
    assert result.code == 2 and message in result.err and not list(Path().iterdir())
    assert len(result.err.splitlines()) == 1
