"""All JSON that the package writes is JSON of the standard."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator

import pytest

from facegen.cli import options
from facegen.files.json_text import json_text
from facegen.pictures.report import Outcome, Report
from package_modules import MODULES


def strict(text: str) -> object:
    """As another language's reader has it."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is none of JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_numbers_that_json_lacks_are_null(number: float) -> None:
    value = {"a": [1.5, number, ("x", number)], "b": {"c": number, "d": None}, "e": True}
    expected = {"a": [1.5, None, ["x", None]], "b": {"c": None, "d": None}, "e": True}
    assert strict(json_text(value)) == strict(json_text(value, indent=2)) == expected
    assert json_text({"b": 0.1, "a": 1}, sort_keys=True) == '{"a": 1, "b": 0.1}'


def test_a_report_with_a_number_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    outcome = Outcome("a.png", "done", facts={"mean": float("nan"), "classes": [{"p": 0.5}]})
    report = Report((outcome,), seconds=float("inf"))
    options.write_report("-", report.as_json({"strength": float("-inf")}))
    found = strict(capfd.readouterr().out)
    assert isinstance(found, dict) and found["strength"] is None and found["seconds"] is None
    assert found["items"][0]["mean"] is None and found["items"][0]["classes"] == [{"p": 0.5}]


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def test_there_is_one_place_that_writes_json() -> None:
    writers = {
        path.name
        for path in MODULES
        if {"json.dumps", "json.dump"} & set(calls(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert writers == {"json_text.py"}
