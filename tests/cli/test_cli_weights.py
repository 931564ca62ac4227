"""facegen init, convert, inspect and doctor."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest
from command_line import Run

from facegen import system
from facegen.networks import NETWORKS
from facegen.weights import digest

FORMATS = ("network.bin", "network.safetensors", "network.npz")


def test_init_is_the_same_bytes_every_time(run: Run, network_bin: Path) -> None:
    result = run("init", "dcgan", "--seed", 1, "a.bin")
    assert result.code == 0 and "seed 1" in result.out and "5,137,283 values" in result.out
    assert Path("a.bin").read_bytes() == network_bin.read_bytes()
    assert run("init", "dcgan", "b.bin").code == 0
    assert Path("b.bin").read_bytes() != network_bin.read_bytes()


def test_init_names_all_networks(run: Run) -> None:
    text = "".join(run("init", "--help").out.split())  # lines are broken at hyphens too
    assert all(name in text for name in NETWORKS)


def test_init_refuses(run: Run) -> None:
    result = run("init", "vgg", "a.bin")
    assert result.code == 2 and "no network 'vgg'; there is dcgan" in result.err
    result = run("init", "dcgan", "a.pt")
    assert result.code == 2 and "'.pt' is no format" in result.err
    result = run("init", "dcgan", "--seed=-1", "a.bin")
    assert result.code == 2 and "--seed" in result.err
    result = run("init", "dcgan", "no/a.bin")
    assert result.code == 2 and "no/a.bin: No such file" in result.err
    assert os.listdir() == []
    Path("a.bin").write_text("precious")
    result = run("init", "dcgan", "a.bin")
    assert result.code == 2 and "a.bin: exists" in result.err
    assert Path("a.bin").read_text() == "precious"
    assert run("init", "dcgan", "a.bin", "--overwrite").code == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("name", FORMATS)
def test_full_disk(run: Run, name: str) -> None:
    os.symlink("/dev/full", name)
    result = run("init", "dcgan", name)
    assert result.code == 1 and f"{name}: No space left" in result.err


def test_convert_there_and_back(run: Run, network_bin: Path) -> None:
    source: Path | str = network_bin
    for name in (*FORMATS[1:], FORMATS[0]):
        result = run("convert", source, name)
        assert result.code == 0 and "dcgan" in result.out and "verified" in result.out
        source = name
    assert Path("network.bin").read_bytes() == network_bin.read_bytes()
    result = run("convert", network_bin, "network.npz")
    assert result.code == 2 and "network.npz: exists" in result.err
    assert run("convert", network_bin, "network.npz", "--overwrite", "-q") == (0, "", "")


def test_convert_refuses(run: Run, network_bin: Path) -> None:
    Path("short.bin").write_bytes(b"x" * 100)
    for source, target, message in (
        ("missing.bin", "a.npz", "missing.bin: No such file"),
        ("short.bin", "a.npz", "short.bin: found 100 bytes"),
        (network_bin, "a.pth", "'.pth' is no format"),
        (network_bin, "no/a.npz", "no/a.npz: No such file"),
    ):
        result = run("convert", source, target)
        assert result.code == 2 and message in result.err and len(result.err.splitlines()) == 1
    assert os.listdir() == ["short.bin"]


def test_inspect(run: Run, network_bin: Path) -> None:
    result = run("inspect", network_bin)
    assert result.code == 0
    sha256 = hashlib.sha256(network_bin.read_bytes()).hexdigest()
    for text in ("dcgan", "20,549,132 bytes", sha256, "tconv4.weight", "3x5x5x64"):
        assert text in result.out


@pytest.mark.parametrize("name", FORMATS)
def test_inspect_as_json(run: Run, network_bin: Path, name: str) -> None:
    assert run("convert", network_bin, name).code == 0
    report = json.loads(run("inspect", name, "--json", "-").out)
    weights = NETWORKS["dcgan"].initial_weights(1)
    assert report["network"] == "dcgan" and report["format"] in name
    assert report["bytes"] == os.path.getsize(name)
    assert report["weights_sha256"] == digest(weights)
    tensors = {tensor["name"]: tensor for tensor in report["tensors"]}
    assert list(tensors) == list(weights)
    assert tensors["bn1.var"]["shape"] == [256]
    assert tensors["bn1.var"]["max"] == np.max(weights["bn1.var"])


def test_inspect_of_something_else(run: Run) -> None:
    Path("a.txt").write_text("hello")
    result = run("inspect", "a.txt")
    assert result.code == 2 and "a.txt: found 5 bytes, which is no network.bin's size" in result.err


def test_doctor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEGEN_ISA", raising=False)
    result = run("doctor")
    assert result.code == 0 and result.err == ""
    report = json.loads(run("doctor", "--json", "-").out)
    assert report["isas"][-1] == "portable" and report["isa"].startswith(report["isas"][0])
    assert int(report["threads"].split()[0]) >= 1
    assert "cpu" in report["devices"] and "cuda" in report
    for name in report:
        assert name.replace("_", " ") in result.out
    monkeypatch.setenv("FACEGEN_ISA", "mmx")
    assert "mmx is not available" in run("doctor").out


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: A 3000\nflags\t: fma\nmodel name\t: B\n", "A 3000"),
        ("processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd0c\n", "Arm Neoverse N1"),
        ("CPU implementer : 0x61\nCPU part : 0xd0c\n", "Apple part 0xd0c"),
        ("CPU implementer : 0x7\nCPU part : 0x8\n", "implementer 0x7 part 0x8"),
        ("CPU implementer : none\nCPU part : 0x8\n", ""),
        ("", ""),
    ],
)
def test_doctor_names_the_processor(cpuinfo: str, name: str) -> None:
    assert system.name_in(cpuinfo) == name


@pytest.mark.parametrize("words", [["doctor"], ["inspect", "{network}"]])
def test_reports_are_files(run: Run, network_bin: Path, words: list[str]) -> None:
    command = [word.format(network=network_bin) for word in words]
    shown = run(*command)
    assert run(*command, "--json", "report.json") == shown
    report = Path("report.json").read_text()
    assert run(*command, "--json", "-") == (0, report, "")
    again = run(*command, "--json", "report.json")
    assert again.code == 2 and "report.json: exists (--overwrite" in again.err
    assert run(*command, "--json", "report.json", "--overwrite", "-q") == (0, "", "")
    missing = run(*command, "--json", "no/report.json")
    assert missing.code == 2 and "no/report.json: there is no folder no" in missing.err
