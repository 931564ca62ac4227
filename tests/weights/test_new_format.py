"""A format is a file and a line in `weights.FORMATS`: all that lists or uses formats follows."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Mapping
from functools import partial

import numpy as np
import pytest
from tiny_network import TINY, tiny_weights

from facegen import FormatError, weights
from facegen.cli.main import main
from facegen.networks.recognise import read_any
from facegen.weights.checks import Path
from facegen.weights.format import Contents, Described, Format
from facegen.weights.layout import canonical

MAGIC = b"LISTS"


def open_(path: Path) -> Contents:
    with open(path, "rb") as file:
        lists = json.loads(file.read()[len(MAGIC) :])
    tensors = {name: np.array(values, np.float32) for name, values in lists.items()}
    shapes = {name: values.shape for name, values in tensors.items()}
    return Contents(shapes, partial(canonical, path, tensors))


def write(path: Path, network: Described, values: Mapping[str, np.ndarray]) -> None:
    lists = {name: array.tolist() for name, array in values.items()}
    with open(path, "wb") as file:
        file.write(MAGIC + json.dumps(lists).encode())


LISTS = Format(
    name="lists",
    title="list of lists",
    begins=lambda path, start, size: start.startswith(MAGIC),
    open=open_,
    extension=".lists",
    write=write,
)


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "FORMATS", (*weights.FORMATS, LISTS))


def test_it_is_written_told_and_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.lists"
    weights.write(path, TINY, tiny_weights())
    assert weights.sniff(path) is LISTS
    network, found = read_any(path, [TINY])
    assert network is TINY and weights.digest(found) == weights.digest(tiny_weights())


def test_errors_list_it(tmp_path: pathlib.Path) -> None:
    with pytest.raises(FormatError, match=r"\.npz, \.lists\)"):
        weights.check_extension("a.png")
    with pytest.raises(FormatError, match="half precision is for .safetensors only"):
        weights.write(tmp_path / "a.lists", TINY, tiny_weights(), half=True)


def test_commands_and_their_help_know_it(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        assert main([*words]) == 0
        return " ".join(capsys.readouterr().out.split())

    run("init", "lenet", "a.npz")
    assert "verified" in run("convert", "a.npz", "b.lists")
    assert "format : lists, " in run("inspect", "b.lists")
    assert "verified" in run("convert", "b.lists", "c.npz")
    assert "a network.bin, " in (shown := run("convert", "--help"))
    assert ".pict or list of lists, known by" in shown and ".npz or .lists by" in shown
    assert ".npz or .lists by" in run("init", "--help")
