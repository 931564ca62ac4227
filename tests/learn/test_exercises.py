"""The exercises: solutions are right, holes are not, and what is said of either."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from facegen.cli.main import main
from facegen.errors import FacegenError
from facegen.learn import check as checking
from facegen.learn.build import BuildError
from facegen.learn.check import check, start
from facegen.learn.course import PROBLEMS, find_rung, folder
from facegen.learn.emulation import emulated
from facegen.learn.exercises import Exercise, exercises, find_exercise
from facegen.learn.python_exercise import check as check_python
from facegen.learn.run import Result, build_and_run

ALL = exercises()
COMPILED = [exercise for exercise in ALL if exercise.language != "Python"]
PYTHON = [exercise for exercise in ALL if exercise.language == "Python"]
# Built in about two seconds each.
FAST = ("01", "26")


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def named(chosen: list[Exercise]) -> list[object]:
    return [
        pytest.param(
            exercise,
            id=exercise.name,
            marks=() if exercise.name.startswith(FAST) else pytest.mark.slow,
        )
        for exercise in chosen
    ]


def results_of(exercise: Exercise, source: Path) -> list[Result]:
    """On a few pixels; kernels of CUDA thread by thread."""
    if exercise.language == "CUDA":
        source = emulated(source)
    return build_and_run(
        source, tiny=True, threads=2, seconds=0.001, more_flags=["-O1"], timeout=300
    )


def test_there_are_enough_of_each() -> None:
    assert [exercise.number for exercise in ALL] == list(range(1, len(ALL) + 1))
    languages = [exercise.language for exercise in ALL]
    assert len(ALL) >= 25 and languages.count("CUDA") == 6 and languages.count("Python") == 11
    with pytest.raises(FacegenError, match=r"no exercise 77; there are 1 to \d+"):
        find_exercise(77)


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_an_exercise_is_whole(exercise: Exercise) -> None:
    """A text, hints, and a hole that is all in which the solution differs."""
    assert exercise.text and len(exercise.hints) >= 2
    target = exercise.target
    if exercise.language == "Python":
        assert target is None or (target.rung, target.problem) == ("plain", None)
        assert (target is not None) == ("def work(" in exercise.check.read_text())
    else:
        assert target is not None and target.problem in PROBLEMS and 0.5 <= target.ratio <= 1.1
        assert find_rung(target.rung).source.suffix == exercise.source.suffix
        assert f'kName = "{exercise.name}"' in exercise.source.read_text()
        # What was not measured says so.
        estimated = "The speed to reach is an estimate" in exercise.text
        assert estimated == (exercise.language == "CUDA")
    texts = [path.read_text().splitlines() for path in (exercise.source, exercise.solution)]
    begins = [next(i for i, line in enumerate(text) if "YOUR CODE" in line) for text in texts]
    ends = [next(i for i, s in enumerate(t) if s.strip() in ("// END", "# END")) for t in texts]
    outside = [
        "\n".join([*text[: begin + 1], *text[end:]])
        for text, begin, end in zip(texts, begins, ends, strict=True)
    ]
    assert outside[0] == outside[1]
    solution = exercise.solution.read_text()
    assert len(solution.splitlines()) < 200


def test_a_hint_names_the_folder_of_solutions() -> None:
    assert {path.name for path in (folder() / "solutions").iterdir() if path.is_file()} == {
        exercise.file for exercise in ALL
    }


@pytest.mark.parametrize("exercise", PYTHON, ids=lambda exercise: exercise.name)
def test_python(exercise: Exercise) -> None:
    report = check_python(exercise.check, exercise.solution)
    assert report["verified"], report["wrong"]
    assert ("seconds" in report) == (exercise.target is not None)
    unsolved = check_python(exercise.check, exercise.source)
    assert not unsolved["verified"]
    assert re.fullmatch(r"line \d+: NotImplementedError: YOUR CODE", unsolved["wrong"])


@pytest.mark.parametrize("exercise", named(COMPILED))
def test_a_solution_is_right(exercise: Exercise) -> None:
    for result in results_of(exercise, exercise.solution):
        assert result.verified is True, result.wrong
        assert result.rung == exercise.name


@pytest.mark.parametrize("exercise", named(COMPILED))
def test_a_hole_is_wrong_and_says_where(exercise: Exercise) -> None:
    try:
        results = results_of(exercise, exercise.source)
    except BuildError as error:
        assert "YOUR CODE: say" in str(error)
        return
    wrong = [result.wrong for result in results if result.verified is False]
    assert wrong
    assert re.match(r"image \d+, y \d+, x \d+, channel \d+: expected .+, found ", wrong[0])


def test_a_learner_goes_from_start_to_fast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exercise = find_exercise(1)
    path = start(exercise, tmp_path)
    with pytest.raises(FacegenError, match="exists; to begin anew, move it away"):
        start(exercise, tmp_path)
    with pytest.raises(FacegenError, match=r"line 25: the hole is as it was .*hint 1"):
        check(exercise, path)

    def played(source: Path, **options: object) -> list[Result]:
        ms = 2.0 if source == path else 1.0
        problem = str(options.get("problem", "conv3x3"))
        return [Result(source.stem, problem, True, ms=ms)]

    monkeypatch.setattr(checking, "build_and_run", played)
    path.write_text(path.read_text() + "\n")
    told: list[str] = []
    verdict = check(exercise, path, tell=told.append)
    assert (verdict.right, verdict.fast, verdict.ratio) == (True, False, 0.5)
    assert len(told) == 1 + 2 * 3  # verified, and three turns of two programs
    ours = {"ms": 1.2}
    monkeypatch.setattr(
        checking,
        "build_and_run",
        lambda source, **_: [Result("", "tconv2", True, ms=ours["ms"] if source == path else 1.0)],
    )
    assert check(exercise, path, tell=told.append).fast
    monkeypatch.setattr(
        checking,
        "build_and_run",
        lambda source, **_: [Result("", "tconv2", False, wrong="image 0: expected 1, found 2")],
    )
    verdict = check(exercise, path, tell=told.append)
    assert not verdict.right and verdict.wrong == "tconv2: image 0: expected 1, found 2"


def test_what_a_compiler_says_of_a_kernel_names_the_learners_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    exercise = find_exercise(23)
    path = start(exercise, tmp_path)
    path.write_text('int one;\n#error "here\'s one"\n')
    monkeypatch.setattr(checking, "has_gpu", lambda: True)
    monkeypatch.setattr(checking, "has_compiler", lambda suffix: False)  # no nvcc: emulated
    with pytest.raises(BuildError, match=f"^{re.escape(str(path))} does not compile") as caught:
        check(exercise, path, tell=lambda line: None)
    assert f"{path}:2:" in caught.value.output
    monkeypatch.chdir(tmp_path)
    assert main(["learn", "check", "23"]) == 2
    lines = capsys.readouterr().err.splitlines()[1:]  # the first says what is at work
    assert lines[0].startswith("facegen: error: ") and lines[0].endswith(" does not compile:")
    assert len(lines) > 1 and f"{path}:2:" in lines[1] and "\\n" not in "".join(lines)


def test_a_file_of_python_in_a_process_of_its_own(tmp_path: Path) -> None:
    exercise = find_exercise(12)
    path = tmp_path / exercise.file
    for text, wrong in {
        "import os; print('noise'); os.close(1)": "expected|NotImpl|attribute",
        "def conv_size(*a): return 1": "conv_size\\(",
        "1 +": "line 1: SyntaxError",
        "raise SystemExit(0)": "cannot be imported: line 1: SystemExit",
    }.items():
        path.write_text(text)
        if "os.close" in text:
            with pytest.raises(FacegenError, match=r"ended with exit code \d+ before all of it"):
                check(exercise, path)
            continue
        verdict = check(exercise, path)
        assert not verdict.right and re.search(wrong, verdict.wrong)
    shutil.copyfile(exercise.solution, path)
    assert check(exercise, path).fast


def test_what_a_file_of_python_prints_is_shown_and_crashes_are_named(tmp_path: Path) -> None:
    exercise = find_exercise(12)
    path = tmp_path / exercise.file
    told: list[str] = []
    path.write_text("import sys\nprint('one', flush=True)\nprint('two', file=sys.stderr)\n")
    check(exercise, path, tell=told.append)
    assert told[1:] == ["one", "two"]
    path.write_text("raise ValueError('x' * 100_000)")
    wrong = check(exercise, path, tell=told.append).wrong
    assert wrong.endswith("x...") and len(wrong) < 600
    path.write_text("")
    assert check(exercise, path, tell=told.append).wrong == "your file has no conv_size"
    path.write_text("def conv_size(*a): return [7] * 1_000_000")
    wrong = check(exercise, path, tell=told.append).wrong
    assert wrong.startswith("conv_size(1, 1, 1, 0, 1): expected") and len(wrong) < 600
    path.write_text("class E(Exception):\n  def __str__(self): raise self\nraise E")
    wrong = check(exercise, path, tell=told.append).wrong
    assert wrong == "cannot be imported: line 3: own.E: <exception str() failed>"
    path.write_text("\0")
    assert "line None" not in check(exercise, path, tell=told.append).wrong
    for text, message in {
        "import os; os.kill(os.getpid(), 11)": r"py: crashed \(signal 11, Segmentation fault\)$",
        "import os; os._exit(0)": "ended with exit code 0 before",
        "import sys\nwhile True: sys.stderr.write('x' * 99 + '\\n')": "printed more than 1,048,576",
    }.items():
        path.write_text(text)
        told.clear()
        with pytest.raises(FacegenError, match=message):
            check(exercise, path, tell=told.append)
        assert len(told) <= 102 and sum(map(len, told)) < 60_000
    path.unlink()
    path.mkdir()
    with pytest.raises(FacegenError, match="is no file; move it away"):
        check(exercise, path, tell=told.append)


def test_a_function_without_a_return(tmp_path: Path) -> None:
    exercise = find_exercise(14)
    path = tmp_path / exercise.file
    path.write_text("def im2col(x, kernel, stride, padding): pass")
    wrong = check(exercise, path, tell=lambda line: None).wrong
    assert wrong.startswith("what your function returns does not fit (without a return")
    assert wrong.endswith("AttributeError: 'NoneType' object has no attribute 'shape'")


def test_what_fails_while_it_is_timed_is_wrong(tmp_path: Path) -> None:
    exercise = find_exercise(14)
    path = tmp_path / exercise.file
    solution = exercise.solution.read_text()
    path.write_text(
        solution.replace("# YOUR CODE", "assert x.size < 9_999, 'too many'  # YOUR CODE")
    )
    verdict = check(exercise, path, tell=lambda line: None)
    assert (verdict.right, verdict.wrong) == (False, "too many")


def test_what_a_program_prints_is_shown_and_its_errors_have_its_name(tmp_path: Path) -> None:
    source = tmp_path / "01_mine.cpp"
    result = r"{\"rung\": \"a\", \"problem\": \"tconv2\", \"verified\": true}"
    told: list[str] = []
    source.write_text(
        "#include <cstdio>\n"
        f'int main() {{ std::puts("one\\n{result}"); std::fputs("two\\n", stderr); }}\n'
    )
    assert build_and_run(source, tell=told.append)[0].verified and told == ["one", "two"]
    source.write_text("#include <cstdlib>\nint main() { std::abort(); }\n")
    with pytest.raises(FacegenError, match=r"^01_mine.cpp: crashed \(signal 6, Aborted\)$"):
        build_and_run(source, tell=told.append)
