"""facegen train segmentation."""

from __future__ import annotations

import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import Run
from PIL import Image

import facegen
from facegen.cli import train as cli_train
from facegen.graphs import GraphNetwork
from facegen.loading import write_graph
from facegen.networks import segmentation
from facegen.train.segmentation import shapes

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch (extra [torch]) is not installed"
)


@pytest.fixture
def data(run: Run, tmp_path: Path) -> tuple[str, str]:
    shapes.write(tmp_path, 3, seed=0)
    assert run("init", "squeezenet", "encoder.safetensors", "-q").code == 0
    return "pictures", "masks"


@pytest.mark.parametrize("backend", ["native", pytest.param("torch", marks=needs_torch)])
def test_train_and_use(run: Run, data: tuple[str, str], backend: str) -> None:
    small = ("--from", "encoder.safetensors", "--epochs", "1", "--backend", backend)
    small += ("--device", "cpu")
    result = run("train", "segmentation", *data, *small, "--log", "log.jsonl", "--half")
    assert result.code == 0 and "epoch 0/1, IoU 0." in result.err
    assert "epoch 1/1, loss " in result.err and "1 pair held out" in result.out
    entries = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in entries] == [0, 1]
    assert json.loads(run("inspect", "segmentation.safetensors", "--json", "-").out)["network"] == (
        "segmentation"
    )
    result = run("train", "segmentation", *data, *small)
    assert result.code == 2 and "segmentation.safetensors: exists" in result.err
    more = ("--from", "segmentation.safetensors", "--epochs", "1", "-o", "b.npz", "-q")
    assert run("train", "segmentation", *data, *more) == (0, "", "")
    assert os.listdir("b.npz.run") == ["log.jsonl"]
    result = run("train", "segmentation", *data, *small, "-o", "c.npz", "--resume")
    assert result.code == 2 and "there is no run to resume" in result.err


def test_classes_of_ones_own(run: Run, data: tuple[str, str]) -> None:
    """Their names are in the file, and `segment` goes by them."""
    names = ("nothing", *shapes.NAMES)
    small = ("--epochs", "1", "--device", "cpu", "--classes", ",".join(names), "-q")
    result = run("train", "segmentation", *data, "--from", "encoder.safetensors", *small)
    assert result == (0, "", "")
    segmenter = facegen.load("segmentation.safetensors", device="cpu")
    assert segmenter.names == names
    result = run("segment", "pictures", "-n", "segmentation.safetensors", "-o", "out", "--areas")
    assert result.code == 0
    classes = np.asarray(Image.open("out/0000.png"))
    areas = json.loads(Path("out/0000_areas.json").read_text())["classes"]
    assert {area["name"] for area in areas} == {names[i] for i in np.unique(classes)}
    # Training goes on from it, with all it knows; with other classes, with its encoder alone.
    more = ("--from", "segmentation.safetensors", "-o", "more.safetensors", *small)
    assert run("train", "segmentation", *data, *more).code == 0
    others = (*more[:2], "-o", "others.safetensors", *small[:-2], ",".join((*names, "other")), "-q")
    assert run("train", "segmentation", *data, *others).code == 0
    assert facegen.load("others.safetensors", device="cpu").names == (*names, "other")


def test_names_of_a_file_lead_nowhere(run: Run, data: tuple[str, str]) -> None:
    """Masks are named by what a file of weights says; it cannot choose the folder."""
    names = ("../../escaped", "class 0", "Same", "same", "a\\b", "\u5b57" * 99)
    weights = segmentation.initial_weights(0)
    graph = segmentation.graph(len(names))
    cut = {n: _corner(weights[n], shape) for n, shape in graph.parameters.items()}
    whole = replace(GraphNetwork.of(graph, cut), classes=names)
    write_graph("hostile.safetensors", whole)
    result = run("segment", "pictures", "-n", "hostile.safetensors", "-o", "out", "--masks")
    assert result.code == 0
    masks = {path.name for path in Path("out").glob("*_masks/*")}
    assert masks and masks <= {f"class {i}.png" for i in range(len(names))}
    assert not list(Path().glob("**/*escaped*"))


def _corner(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return values[tuple(map(slice, shape))]


def test_wrong_arguments(run: Run, data: tuple[str, str]) -> None:
    init = ("--from", "encoder.safetensors")
    assert run("init", "lenet", "lenet.npz", "-q").code == 0
    before = sorted(os.listdir())
    for arguments, message in (
        ([*data], "--from"),
        ([*data, "--from", "lenet.npz"], "lenet.npz: expected squeezenet or segmentation"),
        ([*data, "--from", "missing"], "missing: No such file"),
        (["pictures", "missing", *init], "missing: No such file"),
        ([*data, *init, "--held-out", "3"], "expected at least 1 and fewer than 3"),
        ([*data, *init, "--classes", "one"], "expected 2 to 254 names, found 1"),
        ([*data, *init, "--classes", "one,two,one"], "expected names, each once"),
        ([*data, *init, "--classes", f"one,{'x' * 201}"], "1 to 200 printable characters"),
        ([*data, *init, "--classes", "one,two"], "expected classes 0 to 1 or 255, found"),
        ([*data, *init, "--classes", "a,b", "-o", "a.npz"], "-o a.npz: expected .safetensors"),
        ([*data, *init, "-o", "a.bin"], "-o a.bin: expected .safetensors"),
        ([*data, *init, "-o", "no/a.npz"], "no/a.npz: there is no folder no"),
        ([*data, *init, "--log", "no/log"], "no/log: there is no folder no"),
        ([*data, *init, "-o", "x.npz", "--log", "./x.npz"], "./x.npz: is the output, too"),
        ([*data, *init, "--device", "gpu"], "not 'gpu'"),
    ):
        result = run("train", "segmentation", *arguments)
        assert result.code == 2 and message in result.err.splitlines()[-1]
    assert sorted(os.listdir()) == before


@needs_torch
def test_no_such_device(run: Run, data: tuple[str, str]) -> None:
    words = ("--from", "encoder.safetensors", "--backend", "torch", "--device", "tpu")
    result = run("train", "segmentation", *data, *words)
    assert result.code == 2 and "device 'tpu'" in result.err


def test_without_torch(
    run: Run, data: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_train, "find_spec", lambda name: None)
    words = ("--from", "encoder.safetensors", "--backend", "torch")
    result = run("train", "segmentation", *data, *words)
    assert result.code == 2 and "pip install 'torch>=" in result.err
