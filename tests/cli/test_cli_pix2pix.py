"""facegen pix2pix NETWORK INPUT.rgb OUTPUT.rgb."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from facegen import Pix2Pix
from facegen.cli import pix2pix as pix2pix_command
from facegen.cli.main import main


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
    monkeypatch.setattr(pix2pix_command, "CHUNK", 2)
    pictures.tofile("in.rgb")
    result = run("pix2pix", network, "in.rgb", "out.rgb", "--device", "cpu")
    assert result.code == 0 and result.err == ""
    assert re.search(r"^Elapsed time : \d+\.\d{6} sec$", result.out, re.MULTILINE)
    assert re.fullmatch(r"Throughput : \d+\.\d{2} img / sec", result.out.splitlines()[-1])
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
        ((network_bin, "in.rgb", "out.rgb"), "found 20,549,132 bytes, which is no network.bin"),
        ((network, "missing.rgb", "out.rgb"), "missing.rgb: No such file"),
        ((network, "in.rgb", "nowhere/out.rgb"), "nowhere/out.rgb: No such file"),
        ((network, "in.rgb"), "Missing argument 'OUTPUT'"),
    ):
        result = run("pix2pix", *arguments)
        assert (result.code, result.err.count("\n")) == (2, 1) and words in result.err
        assert os.listdir() == ["in.rgb"]


def test_a_full_disk(run: Run, network: Path, pictures: np.ndarray) -> None:
    pictures[:1].tofile("in.rgb")
    result = run("pix2pix", network, "in.rgb", "/dev/full")
    assert result.code == 1 and "/dev/full: No space left on device" in result.err
