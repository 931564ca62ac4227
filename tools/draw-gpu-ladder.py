#!/usr/bin/env python3
"""Writes what the GPU staircase was predicted and measured to reach into its pages, and draws it.

    facegen learn ladder gpu --json measured.json   # on the GPU
    tools/draw-gpu-ladder.py measured.json          # anywhere

Of docs/learn/ladder/gpu.md, and of the page of each rung beside it, what stands between
"<!-- measured:begin -->" and "<!-- measured:end -->" is written anew; docs/images/gpu-ladder.png is
drawn. Predictions are those that the rungs' own sources state. Without a file there are those
alone.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROBLEMS = ("conv3x3", "tconv2")
BEGIN, END = "<!-- measured:begin -->", "<!-- measured:end -->"
PREDICTION = re.compile(r"^// Prediction for one H200: ([\d.]+) TFLOPS", re.MULTILINE)
CEILINGS = {"float32 units, 67": 67.0, "split float32, 330": 989 / 3, "bfloat16, 989": 989.0}

Line = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """A rung, or a program beside them: what it should reach, and its line for each problem."""

    name: str
    predicted: float | None
    measured: dict[str, Line]

    @property
    def page(self) -> str:
        return f"gpu-{self.name.replace('_', '-')}.md"


def predictions(course: Path) -> dict[str, float]:
    """TFLOPS by the rung's name, in their order."""
    found = {}
    for source in sorted((course / "gpu").glob("[0-9]*.cu")):
        match = PREDICTION.search(source.read_text(encoding="utf-8"))
        if match is None:
            raise SystemExit(f"{source}: states no prediction")
        found[source.stem] = float(match[1])
    return found


def read(path: Path) -> tuple[list[Line], str]:
    """A line for each row of the report, with its problem; and the machine and the date."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        lines = [
            row | {"problem": panel["problem"]}
            for panel in report["panels"]
            for row in panel["rows"]
        ]
        if report["staircase"] != "gpu" or any(line["problem"] not in PROBLEMS for line in lines):
            raise ValueError
        return lines, f"{report['machine'] or 'a GPU'}, {report['date']}"
    except (ValueError, KeyError, TypeError):
        raise SystemExit(
            f"{path}: expected the report of facegen learn ladder gpu --json"
        ) from None


def rows(predicted: dict[str, float], lines: list[Line]) -> list[Row]:
    """Rungs in their order, then what else was measured in its."""
    names = list(dict.fromkeys([*predicted, *(line["name"] for line in lines)]))
    return [
        Row(name, predicted.get(name), {x["problem"]: x for x in lines if x["name"] == name})
        for name in names
    ]


def rate(tflops: float) -> str:
    return f"{tflops:.0f}" if tflops >= 100 else f"{tflops:.1f}" if tflops >= 1 else f"{tflops:.2f}"


def cells(line: Line | None) -> list[str]:
    """Milliseconds, TFLOPS and per cent of a line, as cells of a table."""
    if line is None:
        return ["", "", ""]
    if line["note"]:
        return [line["note"], "", ""]
    return [f"{line['ms']:.3f}", rate(line["gflops"] / 1e3), f"{line['percent_of_peak']:.1f}"]


def error(row: Row) -> str:
    errors = [line["relative_error"] for line in row.measured.values() if line["relative_error"]]
    return f"{max(errors):.0e}" if errors else ""


def table(all_rows: list[Row], caption: str) -> str:
    linked = [
        f"[{row.name}]({row.page})" if row.predicted is not None else row.name for row in all_rows
    ]
    hopes = ["" if row.predicted is None else rate(row.predicted) for row in all_rows]
    if not any(row.measured for row in all_rows):
        body = [f"| {name} | {hope} |" for name, hope in zip(linked, hopes, strict=True)]
        return "\n".join(["| rung | predicted TFLOPS, conv3x3 |", "|---|---:|", *body])
    head = (
        "| rung | predicted |" + "".join(f" {p}: ms | TFLOPS | % |" for p in PROBLEMS) + " error |"
    )
    body = []
    for name, hope, row in zip(linked, hopes, all_rows, strict=True):
        measured = [cell for problem in PROBLEMS for cell in cells(row.measured.get(problem))]
        body.append(f"| {' | '.join([name, hope, *measured, error(row)])} |")
    return "\n".join([caption, "", head, "|---|" + "---:|" * 8, *body])


def sentence(row: Row, caption: str) -> str:
    """What a rung's own page says."""
    said = f"Predicted: {rate(row.predicted or 0)} TFLOPS of conv3x3."
    if not row.measured:
        return said
    parts = []
    for problem in PROBLEMS:
        line = row.measured.get(problem)
        if line is None or line["note"]:
            parts.append(f"{problem} {'not run' if line is None else line['note']}")
            continue
        share = f"{line['percent_of_peak']:.1f}% of {line['peak_gflops'] / 1e3:.0f}"
        parts.append(f"{problem} {rate(line['gflops'] / 1e3)} TFLOPS, {share}")
    return f"{said} Measured: {'; '.join(parts)}; error {error(row) or 'unknown'}. ({caption})"


def replaced(text: str, block: str, page: Path) -> str:
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise SystemExit(f"{page}: expected one {BEGIN} and one {END}")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{block}\n{END}{rest.partition(END)[2]}"


def draw(all_rows: list[Row], caption: str, path: Path) -> None:
    from matplotlib.figure import Figure

    measured = any(row.measured for row in all_rows)
    figure = Figure(figsize=(8.6, 0.46 * len(all_rows) + 1.5), layout="constrained")
    axes = figure.subplots()
    colours = {"conv3x3": "#57809a", "tconv2": "#22333b"}
    height = 0.38
    for place, row in enumerate(all_rows):
        for side, problem in enumerate(PROBLEMS):
            tflops = (row.measured.get(problem, {}).get("gflops") or 0) / 1e3
            at = place + (side - 0.5) * height
            if tflops:
                label = problem if place == 0 else None
                axes.barh(at, tflops, height, color=colours[problem], label=label)
                text = {"ha": "right", "va": "center", "fontsize": 7, "color": "white"}
                axes.text(tflops * 0.94, at, rate(tflops), **text)
        if row.predicted is not None:
            label = "predicted, conv3x3" if place == 0 else None
            axes.plot(
                [row.predicted] * 2,
                [place - 0.42, place + 0.42],
                color="#d1495b",
                lw=2,
                label=label,
            )
            if not measured:
                axes.text(row.predicted * 1.1, place, rate(row.predicted), va="center", fontsize=8)
    for label, ceiling in CEILINGS.items():
        axes.axvline(ceiling, color="#888888", linestyle="dashed", linewidth=1, zorder=0)
        axes.text(
            ceiling * 0.97, -0.75, label, ha="right", va="bottom", fontsize=7, color="#555555"
        )
    axes.set_xscale("log")
    axes.set_xlim(0.1, 2000)
    axes.set_yticks(range(len(all_rows)), [row.name for row in all_rows], fontsize=8)
    axes.set_ylim(len(all_rows) - 0.4, -1.4)
    axes.set_xlabel("TFLOPS of the definition's multiply-adds")
    axes.set_title(f"The GPU staircase{caption and ': ' + caption}", loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("measured", type=Path, nargs="?", help="facegen learn ladder gpu --json's")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout to write into")
    given = parser.parse_args(arguments)
    lines, caption = read(given.measured) if given.measured else ([], "")
    all_rows = rows(predictions(given.root / "course"), lines)
    pages = given.root / "docs" / "learn" / "ladder"
    written = {pages / "gpu.md": table(all_rows, caption)}
    for row in all_rows:
        if row.predicted is not None:
            written[pages / row.page] = sentence(row, caption)
    texts = {page: replaced(page.read_text(encoding="utf-8"), block, page)
             for page, block in written.items()}  # fmt: skip
    for page, text in texts.items():
        page.write_text(text, encoding="utf-8")
    draw(all_rows, caption, given.root / "docs" / "images" / "gpu-ladder.png")


if __name__ == "__main__":
    main(sys.argv[1:])
