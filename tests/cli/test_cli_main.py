"""What holds for every command; and what importing facegen costs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import Run, start

import facegen
from facegen.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help(run: Run, flag: str) -> None:
    result = run(flag)
    assert result.code == 0 and result.err == ""
    assert "facegen network.bin input.txt output.txt faces.bmp" in result.out
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", result.out, re.MULTILINE)
    assert run() == result


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_examples(run: Run, command: str) -> None:
    result = run(command, "-h")
    assert result.code == 0 and result.err == ""
    assert f"  facegen {command} " in result.out or f"  facegen {command}\n" in result.out
    assert "--debug" in result.out and "--quiet" in result.out
    assert "--verbose" in result.out


@pytest.mark.parametrize(
    "command",
    ["network.bin", "demo", "generate", "interpolate", "colorizer main", "pix2pix", "colorize"]
    + ["segment", "classify", "digits", "serve"],
)
def test_all_that_compute_take_the_same_options(run: Run, command: str) -> None:
    text = run(*command.split(), "-h").out
    for option in ("--device", "--threads", "--precision", "--algorithm"):
        assert f"  {option} " in text


def test_help_as_a_command(run: Run) -> None:
    assert run("help") == run("--help")
    for words in (["colorize"], ["colorizer", "main"], ["train"], ["train", "digits"]):
        assert run("help", *words) == run(*words, "--help")
        assert run("help", *words).code == 0
    for word, message in (("generat", "did you mean generate?"), ("vgg", "no command 'vgg'")):
        result = run("help", word)
        assert result.code == 2 and message in result.err


def test_help_of_the_bare_form(run: Run) -> None:
    result = run("network.bin", "--help")
    assert result.code == 0
    assert result.out.startswith("Usage: facegen [OPTIONS] [NETWORK] INPUT OUTPUT IMAGE\n")


def test_a_mistyped_command_is_named(run: Run) -> None:
    result = run("generat", "--seeds", "1", "-o", "a.png")
    assert result.code == 2 and "no command or file 'generat'; did you mean generate?" in result.err
    assert "did you mean colorize?" in run("colour", "photos", "-o", "out").err
    result = run("stylize", "photos", "-o", "out")
    assert "no command is called stylize (facegen help lists them)" in result.err
    for names in (["in.txt", "out.txt", "out.bmp"], ["in.txt", "out.txt"]):
        assert "no command" not in run("default", *names).err
    Path("generat").touch()  # a file is a network
    assert "did you mean generate" not in run("generat", "in.txt", "out.txt", "out.bmp").err


def test_names_that_are_no_text(run: Run) -> None:
    name = os.fsdecode(b"\xff\n.bin")
    result = run(name, "in.txt", "out.txt", "out.bmp")
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert run("init", "dcgan", name).code == 0
    assert run("inspect", name).code == 0 and run("inspect", name, "--json", "-").code == 0
    Path("in.txt").write_text("1\n" + "0 " * 100)
    assert run(name, "in.txt", "out.txt", "out.bmp").code == 0


def test_version(run: Run) -> None:
    for words in (["--version"], ["-V"], ["version"]):
        assert run(*words) == (0, f"facegen {facegen.__version__}\n", "")
    Path("version").touch()  # a file is a network, or an input
    assert run("version").code == 2
    assert f'version = "{facegen.__version__}"' in (ROOT / "pyproject.toml").read_text()


def test_as_a_module(tmp_path: Path) -> None:
    process = start(["--version"], tmp_path)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out.decode(), err) == (0, f"facegen {facegen.__version__}\n", b"")


def test_an_interrupt_while_modules_are_imported(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    process = subprocess.run(
        [sys.executable, "-m", "facegen", "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        check=False,
    )
    found = (process.returncode, process.stdout, process.stderr)
    assert found == (130, "", "facegen: interrupted\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_standard_output_on_a_full_disk(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "facegen", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
    assert process.returncode == 1
    assert process.stderr == "facegen: error: standard output: No space left on device\n"


IMPORT = """
import sys, threading
import facegen
heavy = {"numpy", "click", "rich", "PIL", "safetensors", "facegen._native"} & set(sys.modules)
assert not heavy, heavy
assert threading.active_count() == 1
"""


def test_import_is_light() -> None:
    process = subprocess.run(
        [sys.executable, "-S", "-c", IMPORT],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(facegen.__file__).parents[1])},
        check=False,
    )
    assert process.returncode == 0, process.stderr


def test_names_come_when_asked_for() -> None:
    assert facegen.Generator is facegen.networks.dcgan.Generator
    assert callable(facegen.load)
    assert {"Generator", "load", "FormatError", "nn"} <= set(dir(facegen))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = facegen.nothing
