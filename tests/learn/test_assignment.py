"""facegen learn assignment: what a course hands out builds, runs, and is graded."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from facegen.cli.main import main
from facegen.errors import FacegenError
from facegen.learn import assignment
from facegen.learn.assignment import ASSIGNMENTS, write_assignment

# Nothing is timed here: what matters is that the compiler is soon done.
QUICK = os.environ | {"CXXFLAGS": "-O1"}


def unpacked(name: str, folder: Path, pictures: int | None = 1) -> Path:
    tar = folder / f"{name}.tar"
    arguments = ["learn", "assignment", name, "-o", str(tar), "-q"]
    assert main([*arguments, *(["--pictures", str(pictures)] if pictures else [])]) == 0
    with tarfile.open(tar) as file:
        assert all(member.isfile() for member in file)
        file.extractall(folder)
    tar.unlink()
    return folder / name


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project facegen, of two faces."""
    with pytest.MonkeyPatch.context() as patch:
        few = replace(ASSIGNMENTS["facegen"], counts=(1, 1))
        patch.setitem(assignment.ASSIGNMENTS, "facegen", few)
        return unpacked("facegen", tmp_path_factory.mktemp("course"))


def grade(project: Path, *submissions: Path | str) -> tuple[int, list[dict], str]:
    """Exit code, points.json and what was printed of grade.py in the project's folder."""
    command = [sys.executable, str(project / "grade.py"), "--limit", "120", *map(str, submissions)]
    work = project.parent
    done = subprocess.run(command, cwd=work, env=QUICK, capture_output=True, text=True, check=False)
    report = work / "points.json"
    results = json.loads(report.read_text()) if report.exists() else []
    return done.returncode, results, done.stdout + done.stderr


def submission(faces: Path, name: str, **files: str) -> Path:
    folder = faces.parent / name
    folder.mkdir()
    for file, text in {"facegen.cpp": (faces / "sequential.cpp").read_text(), **files}.items():
        (folder / file.replace("_", ".")).write_text(text)
    return folder


def test_a_right_and_a_wrong_submission(faces: Path) -> None:
    right = submission(faces, "right")
    # Files that were given are put back: this clock would be a fast one, these flags none.
    (right / "main.cpp").write_text("no program")
    source = (faces / "sequential.cpp").read_text()
    wrong = submission(faces, "wrong")
    (wrong / "facegen.cpp").write_text(source.replace("1e-5f", "1e-1f"))
    code, results, said = grade(faces, "--full-seconds", "1000", right, wrong)
    assert code == 1, said
    assert [result["name"] for result in results] == ["right", "wrong"]
    assert results[0]["verdict"] == "right" and results[0]["points"] == 100.0
    assert 0 < results[0]["seconds"] <= results[0]["wall"]
    assert results[1]["points"] == 0.0 and results[1]["seconds"] is None
    assert results[1]["verdict"].startswith("different: image 0, pixel (0, 0, 0): "), said


def test_points_are_ten_less_a_factor_of_two(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(faces))
    import grade as program

    assert [program.points(seconds, 1.0) for seconds in (0.5, 1.0, 2.0, 4.0)] == [100, 100, 90, 80]
    assert program.points(2.0**0.5, 1.0) == pytest.approx(95.0)
    assert program.points(2000.0, 1.0) == 0.0


def test_what_is_given_is_a_copy_and_what_collides_is_left_out(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(faces))
    import grade as program

    given = json.loads((faces / "grade.json").read_text())["given"]
    odd = submission(faces, "odd")
    for name in ("network.bin", "rules.mk"):
        (odd / name).mkdir()
        (odd / name / "file").write_text("mine")
    program.put_together(odd, given, tmp_path)
    network = tmp_path / "network.bin"
    assert network.is_file() and not any(path.is_symlink() for path in tmp_path.iterdir())
    assert not list(tmp_path.glob("answer*"))
    network.write_bytes(b"overwritten")
    assert (faces / "network.bin").stat().st_size > 1 << 20


def test_one_clock_is_believed_and_no_second_one(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(faces))
    import grade as program

    assert program.seconds_said("words\nElapsed time : 0.250000 sec\n") == 0.25
    for said, verdict in {
        "": "no elapsed time",
        "Elapsed time : 1..2 sec\n": "no elapsed time",
        "Elapsed time : 9.0 sec\nElapsed time : 0.000001 sec\n": "2 elapsed times",
    }.items():
        with pytest.raises(program.Failure, match=verdict):
            program.seconds_said(said)
    # A program that claims next to nothing has a share of the wall time all the same.
    (tmp_path / "Makefile").write_text("x:\n")
    fake = "#!/bin/sh\nsleep 0.2; echo > out; echo 'Elapsed time : 0.000001 sec'\n"
    for name, text in {"x": fake, "compare": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    task = {"program": "x", "runs": [{"arguments": [], "output": "out", "answer": "a"}]}
    options = argparse.Namespace(limit=60.0, user=None, wall_share=0.5)
    seconds, wall = program.build_and_run(task, tmp_path, tmp_path / "compare", options)
    assert seconds == 0.5 * wall >= 0.1


def test_an_odd_submission_has_a_verdict(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(faces))
    import grade as program

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "facegen.cpp")

    monkeypatch.setattr(program.shutil, "copyfile", refuse)
    odd = submission(faces, "unreadable")
    options = argparse.Namespace(user=None)
    result = program.grade(odd, {"given": []}, tmp_path / "compare", options)
    assert result["points"] == 0.0
    assert result["verdict"].startswith("cannot be graded: ") and "facegen.cpp" in result["verdict"]


@pytest.mark.slow
def test_submissions_that_fail(faces: Path) -> None:
    source = (faces / "sequential.cpp").read_text()
    link = submission(faces, "link")
    (link / "facegen.cpp").unlink()
    (link / "facegen.cpp").symlink_to(faces / "sequential.cpp")
    fails = [
        link,
        submission(faces, "typo", facegen_cpp=source.replace("float sum", "floot sum")),
        submission(faces, "silent"),
        submission(faces, "crash", facegen_cpp=source.replace("init() {", "init() { abort();")),
    ]
    (fails[2] / "Makefile").write_text("facegen:\n\tprintf '#!/bin/sh\\n' > $@; chmod +x $@\n")
    code, results, said = grade(faces, *fails)
    assert code == 1
    assert [result["points"] for result in results] == [0.0] * 4
    verdicts = [result["verdict"] for result in results]
    assert verdicts[0].startswith("make: exit code 2:")
    assert "floot" in verdicts[1]
    assert verdicts[2] == "printed no elapsed time"
    assert verdicts[3].startswith("facegen: exit code -"), said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["colorizer", "pix2pix"])
def test_the_large_projects(name: str, tmp_path: Path) -> None:
    """The sequential program is right: `compare` finds its output the answer."""
    project = unpacked(name, tmp_path)
    fast = os.environ | {"CXXFLAGS": "-O3 -march=native"}
    done = subprocess.run(
        ["make", "-s", "check"], cwd=project, env=fast, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same: " in done.stdout


def test_a_project_is_a_tar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "assignment", "facegen", "-o", str(tmp_path / "x.zip")]) == 2
    assert "x.zip: a project is a tar" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(FacegenError, match="no assignment 'dcgan'; there is facegen, colorizer"):
        write_assignment("dcgan", tmp_path / "a.tar")
    with pytest.raises(FacegenError, match="expected 1 to 1,024 pictures, found 1,025"):
        write_assignment("facegen", tmp_path / "a.tar", 1025)
    assert list(tmp_path.iterdir()) == []
