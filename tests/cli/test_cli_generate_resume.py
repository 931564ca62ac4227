"""facegen generate --resume: what is finished stays, and the rest comes to the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Run, latent_text

from facegen.engine import Runner
from facegen.files import journal
from facegen.networks.dcgan import Generator

FACES = 20


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 3 faces, and an entry in the journal after each."""
    monkeypatch.setattr(Runner, "chunk", 3)
    monkeypatch.setattr(journal, "_SECONDS", 0.0)


@pytest.fixture
def generate(run: Run, network_bin: Path) -> Run:
    """Run the command with latents of seeds 7 to 26 in in.txt, which are the seeds too."""
    Path("in.txt").write_text(latent_text(range(7, 7 + FACES)))

    def generate(*words: object, of: str = "seeds") -> Any:
        source = ["--seeds", f"7-{6 + FACES}"] if of == "seeds" else ["--latents", "in.txt"]
        return run("generate", "-n", network_bin, *source, "--device", "cpu", *words)

    return generate


def fail_at(monkeypatch: pytest.MonkeyPatch, call: int) -> list[int]:
    """Let the generator be interrupted at a call; gives the faces of every call."""
    sizes: list[int] = []
    compute = Generator.__call__

    def failing(self: Generator, latents: Any) -> np.ndarray:
        if len(sizes) == call:
            time.sleep(0.2)  # so that most of those before are written
            raise KeyboardInterrupt
        sizes.append(len(latents))
        return compute(self, latents)

    monkeypatch.setattr(Generator, "__call__", failing)
    return sizes


def tree(folder: str) -> dict[str, bytes]:
    """Files that are not hidden."""
    paths = [path for path in Path(folder).rglob("*") if path.is_file()]
    names = {str(path.relative_to(folder)): path for path in paths}
    return {name: path.read_bytes() for name, path in names.items() if not name.startswith(".")}


def was_there(out: str) -> int:
    """As in "faces/: 20 faces, 7 of them there already, on cpu ..."."""
    words = out.split(": ")[1].split(", ")
    return int(words[1].split()[0]) if "there already" in words[1] else 0


@pytest.mark.parametrize("of", ["seeds", "latents"])
@pytest.mark.parametrize("name", ["{folder}/", "{folder}/{{index}}/face.bmp"])
@pytest.mark.parametrize("first", [["--resume"], []], ids=["resume", "plain"])
def test_files_that_are_missing(
    generate: Run, of: str, name: str, first: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate("-o", name.format(folder="whole"), "-q", of=of).code == 0
    command = ["-o", name.format(folder="faces"), "--save-latents", "saved.npy"]
    with monkeypatch.context() as patch:
        fail_at(patch, 3)
        assert generate(*command, *first, of=of).code == 130
    there = tree("faces")
    assert 0 < len(there) <= 9 and not Path("saved.npy").exists()
    sizes = fail_at(monkeypatch, -1)
    result = generate(*command, "--resume", of=of)
    assert result.code == 0, result.err
    assert was_there(result.out) == len(there) == FACES - sum(sizes)
    assert tree("faces") == tree("whole")
    np.testing.assert_array_equal(np.load("saved.npy")[:, 0], np.loadtxt("in.txt", np.float32,
        skiprows=1)[:, 0])  # fmt: skip
    sizes.clear()
    result = generate(*command, "--resume", of=of)
    assert result.code == 0 and was_there(result.out) == FACES and not sizes


def test_a_file_that_is_cut_is_made_anew(generate: Run) -> None:
    assert generate("-o", "faces/").code == 0
    expected = tree("faces")
    Path("faces/seed0009.png").write_bytes(expected["seed0009.png"][:100])
    Path("faces/seed0011.png").unlink()
    assert was_there(generate("-o", "faces/", "--resume").out) == FACES - 2
    assert tree("faces") == expected


def test_files_that_are_something_else_are_refused(generate: Run, run: Run) -> None:
    assert run("init", "dcgan", "--seed", "2", "other.bin", "-q").code == 0
    Path("faces").mkdir()
    Path("faces/seed0009.png").write_text("precious")
    result = generate("-o", "faces", "--resume")
    assert result.code == 2 and "faces/seed0009.png: exists, and no run is known" in result.err
    assert generate("-o", "faces", "--overwrite").code == 0
    before = tree("faces")
    result = generate("-o", "faces", "--resume", "-n", "other.bin")
    assert result.code == 2 and "seed0007.png: exists, made of seed 7, another" in result.err
    assert generate("-o", "{index}.png").code == 0
    result = run("generate", "-s", "8", "-o", "{index}.png", "--device", "cpu", "--resume")
    assert result.code == 2 and "0.png: exists, made of seed 7, another" in result.err
    assert tree("faces") == before
    result = generate("-o", "faces", "--resume", "--overwrite")
    assert result.code == 2 and "name one of them" in result.err


@pytest.mark.parametrize("output", ["faces.npy", "faces.png"])
def test_latents_of_faces_that_are_finished(
    generate: Run, output: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert generate("-o", output, "--resume").code == 0
    expected = Path(output).read_bytes()
    sizes = fail_at(monkeypatch, -1)
    result = generate("-o", output, "--resume", "--save-latents", "saved.txt")
    assert was_there(result.out) == FACES and not sizes
    assert Path(output).read_bytes() == expected
    saved, given = (np.loadtxt(name, np.float32, skiprows=1) for name in ("saved.txt", "in.txt"))
    np.testing.assert_array_equal(saved, given)


@pytest.mark.parametrize("of", ["seeds", "latents"])
def test_npy_goes_on(generate: Run, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert generate("-o", "whole.npy", of=of).code == 0
    command = ["-o", "faces.npy", "--save-latents", "saved.npy", "--resume"]
    with monkeypatch.context() as patch:
        fail_at(patch, 3)
        assert generate(*command, of=of).code == 130
    assert not Path("faces.npy").exists() and not Path("saved.npy").exists()
    sizes = fail_at(monkeypatch, -1)
    result = generate(*command, of=of)
    assert 0 < was_there(result.out) == FACES - sum(sizes)
    assert Path("faces.npy").read_bytes() == Path("whole.npy").read_bytes()
    assert len(np.load("saved.npy")) == FACES
    sizes.clear()
    assert was_there(generate(*command, of=of).out) == FACES and not sizes
    assert sorted(os.listdir()) == [".facegen", "faces.npy", "in.txt", "saved.npy", "whole.npy"]


def test_npy_of_something_else(
    generate: Run, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun otherwise begins anew; what was finished otherwise is refused."""
    assert run("init", "dcgan", "--seed", "2", "other.bin", "-q").code == 0
    with monkeypatch.context() as patch:
        fail_at(patch, 3)
        assert generate("-o", "faces.npy", "--resume", "-n", "other.bin").code == 130
    assert was_there(generate("-o", "faces.npy", "--resume").out) == 0
    expected = Path("faces.npy").read_bytes()
    for words in (["-n", "other.bin"], ["-s", "1-20"], ["--precision", "strict"]):
        result = generate("-o", "faces.npy", "--resume", *words)
        assert result.code == 2 and "faces.npy: exists, made of seeds 7-26, another" in result.err
    assert Path("faces.npy").read_bytes() == expected
    Path("plain.npy").write_text("precious")
    assert "no run is known" in generate("-o", "plain.npy", "--resume").err


def test_pictures_that_are_finished(generate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, 3)
        assert generate("-o", "faces.png", "--resume").code == 130
    assert os.listdir() == ["in.txt"]
    assert was_there(generate("-o", "faces.png", "--resume").out) == 0
    assert generate("-o", "whole.png").code == 0
    assert Path("faces.png").read_bytes() == Path("whole.png").read_bytes()
    assert was_there(generate("-o", "faces.png", "--resume").out) == FACES
    assert generate("-o", "faces.png", "--resume", "--grid", "20x1").code == 2


def test_shards_are_submitted_again(generate: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As tasks of an array of which one was killed: the others have nothing to do."""
    assert generate("-o", "whole.npy").code == 0
    command = ["-o", "part-{shard}.npy", "--resume", "--shard"]
    for part in range(3):
        with monkeypatch.context() as patch:
            if part == 1:
                fail_at(patch, 2)
            assert generate(*command, f"{part}/3").code == (130 if part == 1 else 0)
    sizes = fail_at(monkeypatch, -1)
    assert [was_there(generate(*command, f"{part}/3").out) for part in range(3)][::2] == [7, 6]
    assert 0 < sum(sizes) < 7
    parts = [np.load(f"part-{part}.npy") for part in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), np.load("whole.npy"))


def test_what_is_left_of_a_run_goes_with_the_next(
    generate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where that is not to be resumed."""
    with monkeypatch.context() as patch:
        fail_at(patch, 3)
        assert generate("-o", "faces.npy", "--resume").code == 130
    assert {".faces.npy.facegen-part", ".faces.npy.facegen-journal"} < set(os.listdir())
    assert generate("-o", "faces.npy").code == 0
    assert sorted(os.listdir()) == ["faces.npy", "in.txt"]


def test_a_run_that_was_killed_at_its_very_end(
    generate: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output has its name, and the journal is still there."""
    with monkeypatch.context() as patch:
        patch.setattr(journal.Journal, "__exit__", lambda *error: None)
        assert generate("-o", "faces.npy", "--resume").code == 0
    assert Path(".faces.npy.facegen-journal").exists()
    assert was_there(generate("-o", "faces.npy", "--resume").out) == FACES
    assert sorted(os.listdir()) == [".facegen", "faces.npy", "in.txt"]


PROGRAM = """
import sys
from facegen.cli import main
from facegen.engine import Runner
from facegen.files import journal
Runner.chunk, journal._SECONDS = 1, 0.0
sys.exit(main.main())
"""


@pytest.mark.parametrize("output", ["faces.npy", "faces/"])
def test_killed(generate: Run, network_bin: Path, output: str) -> None:
    assert generate("-o", f"whole-{output}").code == 0
    words = ["generate", "-n", str(network_bin), "-s", f"7-{6 + FACES}", "--device", "cpu"]
    kills = 0
    while True:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words, "-o", output, "--resume", "-q"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        mark = Path("faces/.facegen" if output == "faces/" else ".faces.npy.facegen-journal")
        before = len(tree("faces")) if output == "faces/" else mark.exists() and mark.read_bytes()
        while process.poll() is None and kills < 2:
            now = len(tree("faces")) if output == "faces/" else mark.exists() and mark.read_bytes()
            if now != before:  # it has come further
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        if process.wait(60) == 0:
            break
    if output == "faces/":
        assert tree("faces") == tree("whole-faces")
    else:
        assert Path("faces.npy").read_bytes() == Path("whole-faces.npy").read_bytes()
