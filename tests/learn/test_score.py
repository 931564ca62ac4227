"""The score of the exercises, and hostile ones; the commands that keep it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facegen.cli.main import main
from facegen.errors import FormatError
from facegen.learn.check import Verdict
from facegen.learn.exercises import find_exercise
from facegen.learn.score import NAME, Entry, read_score, write_score

KNOWN = {"01_a", "02_b"}
ENTRY = {"right": True, "fast": False, "ratio": 0.5, "hints": 1, "checks": 2, "date": "2026-11-30"}


def text(**changes: Any) -> str:
    return json.dumps({"format": 1, "exercises": {"01_a": ENTRY | changes}})


def test_a_score_comes_back(tmp_path: Path) -> None:
    assert read_score(tmp_path, KNOWN) == {}
    score = {"01_a": Entry().checked(True, False, 0.5), "02_b": Entry(hints=2)}
    write_score(tmp_path, score)
    assert read_score(tmp_path, KNOWN) == score
    assert [entry.points for entry in score.values()] == [1, 0]


def test_what_was_reached_stays() -> None:
    entry = Entry().checked(True, True, 1.5).checked(False, False, None).checked(True, False, 0.5)
    assert (entry.points, entry.ratio, entry.checks) == (2, 1.5, 3)
    assert Entry().checked(False, True, None).points == 0


def test_any_ratio_that_is_written_is_read(tmp_path: Path) -> None:
    for ratio in (1e300, float("inf"), 0.0):
        score = {"01_a": Entry().checked(True, True, ratio)}
        write_score(tmp_path, score)
        assert read_score(tmp_path, KNOWN) == score


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a score, which is JSON"),
        ("[" * 100_000, "not a score, which is JSON"),
        ("\x00\xff", "not a score, which is JSON"),
        ("[]", "expected a score"),
        ('{"format": 2}', "expected a score"),
        ('{"format": 1, "exercises": []}', r"exercises: expected an object, found \[\]"),
        ('{"format": 1, "exercises": {"../../etc/passwd": {}}}', "passwd' is no exercise"),
        ('{"format": 1, "exercises": {"01_a": 7}}', "01_a: expected right, fast"),
        (text(ratio="1"), "01_a: ratio cannot be '1'"),
        (text(ratio=float("nan")), "01_a: ratio cannot be nan"),
        (text(right=1), "01_a: right cannot be 1"),
        (text(hints=-1), "01_a: hints cannot be -1"),
        (text(hints=10**400), r"01_a: hints cannot be 1000.*\.\.\.|not a score"),
        (text(date="\x1b[31m"), r"01_a: date cannot be '\\x1b\[31m'"),
        (text(more=1), "01_a: expected right, fast"),
        (" " * (1 << 20) + "{}", "at most 1,048,576 bytes"),
    ],
)
def test_hostile_scores(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / NAME).write_text(content, encoding="latin-1")
    with pytest.raises(FormatError, match=message) as caught:
        read_score(tmp_path, KNOWN)
    assert str(caught.value).startswith(str(tmp_path / NAME)) and len(str(caught.value)) < 400


@settings(max_examples=20)
@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    place = tmp_path_factory.getbasetemp()
    for content in (value, {"format": 1, "exercises": {"01_a": dict.fromkeys(ENTRY, value)}}):
        (place / NAME).write_text(json.dumps(content))
        with pytest.raises(FormatError):
            read_score(place, KNOWN)


def test_links_and_pipes_are_not_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text(text())
    (tmp_path / NAME).symlink_to(elsewhere)
    with pytest.raises(FormatError, match="found a link, a folder or a pipe"):
        read_score(tmp_path, KNOWN)
    write_score(tmp_path, {})
    assert elsewhere.read_text() == text() and not (tmp_path / NAME).is_symlink()
    (tmp_path / NAME).unlink()
    os.mkfifo(tmp_path / NAME)
    with pytest.raises(FormatError, match="found a link, a folder or a pipe"):
        read_score(tmp_path, KNOWN)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "start", "12"]) == 0
    said = capsys.readouterr().out
    assert "Your file: 12_output_sizes.py" in said and "\nThree formulas" in said
    assert main(["learn", "start", "12"]) == 2  # a learner's work is not replaced
    assert main(["learn", "check", "12"]) == 2
    assert "the hole is as it was" in capsys.readouterr().err
    assert main(["learn", "hint", "12"]) == 0 and main(["learn", "hint", "12"]) == 0
    said = capsys.readouterr().out
    assert said.count("Hint 1 of 4") == 2 and said.count("Hint 2 of 4") == 1
    file = place / "12_output_sizes.py"
    file.write_text(file.read_text().replace("raise NotImpl", "return 1  # raise NotImpl", 1))
    assert main(["learn", "check", "12"]) == 1
    said = capsys.readouterr().out
    assert "wrong: conv_size(1, 1, 1, 1, 1): expected 3, found 1" in said
    assert main(["learn", "list"]) == 0
    said = capsys.readouterr().out
    assert "begun" in said and "0 of 56 points" in said and said.endswith("learn start 1\n")
    file.write_text(find_exercise(12).solution.read_text())
    assert main(["learn", "check", "12"]) == 0
    assert "2 of 2 points; next: facegen learn start 13" in capsys.readouterr().out
    (place / NAME).write_text('{"format": 1, "exercises": {"..": {}}}')
    for command in (["list"], ["hint", "12"], ["check", "12"]):
        assert main(["learn", *command]) == 2
        assert f"{NAME}: '..' is no exercise" in capsys.readouterr().err
    assert sorted(path.name for path in place.iterdir()) == [file.name, NAME]


def test_another_check_at_the_same_time_keeps_its_points(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {"01_naive_convolution": Entry().checked(True, True, 1.0)}

    def slow(*given: object) -> Verdict:
        write_score(place, other)  # as the other one does while this one computes
        return Verdict(True, fast=True)

    monkeypatch.setattr("facegen.learn.check.check", slow)
    assert main(["learn", "check", "12"]) == 0
    score = read_score(place, {*other, "12_output_sizes"})
    assert [entry.points for entry in score.values()] == [2, 2]


def test_numbers_that_are_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["learn", "start", "99"]) == 2
    assert "no exercise 99; there are 1 to 28" in capsys.readouterr().err
    assert main(["learn", "check", "2"]) == 2
    assert "facegen learn start 2 writes it" in capsys.readouterr().err
