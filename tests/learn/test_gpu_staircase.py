"""The GPU staircase: how its programs are written everywhere, and that they are right on a GPU."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from facegen.engine.cuda import cuda_module
from facegen.learn.build import build
from facegen.learn.compilers import flags_of
from facegen.learn.course import Rung, folder, rungs
from facegen.learn.run import build_and_run

ROOT = Path(__file__).parents[2]
RUNGS = rungs("gpu")
ON_HOPPER_ALONE = ("08", "09", "10")


def names(rung: Rung) -> str:
    return rung.name


@pytest.mark.parametrize("rung", RUNGS, ids=names)
def test_a_rung_is_one_short_file(rung: Rung) -> None:
    text = rung.source.read_text(encoding="utf-8")
    assert rung.title and text.count("\n") < 200
    assert f" {rung.source.name} -o rung && ./rung\n" in text
    assert text.count("\n// What changes: ") == (0 if rung.name.startswith("01") else 1)
    assert f'{{"{rung.name}", Format::' in text
    hopper = "-gencode=arch=compute_90a,code=sm_90a"
    target = hopper if rung.name.startswith(ON_HOPPER_ALONE) else "-arch=native"
    assert flags_of(rung.source) == ["-O3", "-std=c++17", target]


def nvcc() -> str | None:
    return shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


@pytest.mark.slow
@pytest.mark.skipif(nvcc() is None, reason="nvcc is not installed")
@pytest.mark.parametrize("rung", RUNGS, ids=names)
def test_a_rung_compiles(rung: Rung, tmp_path: Path) -> None:
    number = "90a" if rung.name.startswith(ON_HOPPER_ALONE) else "80"
    target = ["-gencode", f"arch=compute_{number},code=sm_{number}"]
    strict = ["-Werror", "all-warnings", "-Xcompiler", "-Wall,-Wextra,-Wshadow"]
    command = [str(nvcc()), "-O3", "-std=c++17", *target, *strict, str(rung.source)]
    done = subprocess.run(
        [*command, "-Xptxas", "-v", "-o", tmp_path / "rung"],
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "serialized" not in said  # products that wait for one another (C7510)


@pytest.mark.cuda
@pytest.mark.parametrize("rung", RUNGS, ids=names)
def test_a_rung_is_right(rung: Rung) -> None:
    if nvcc() is None:
        pytest.skip("nvcc is not installed")
    if rung.name.startswith(ON_HOPPER_ALONE) and cuda_module().devices()[0]["capability"][0] != 9:
        pytest.skip("needs a Hopper GPU")
    results = build_and_run(rung.source, tiny=True, seconds=0.01, timeout=20)
    assert [result.problem for result in results] == ["conv3x3", "tconv2"]
    for result in results:
        assert result.rung == rung.name
        assert result.verified is True, result.wrong
        assert result.error is not None and 0 < result.error <= 1


# Each output of the definition, by each tap that meets an input pixel there, must be one product of
# one phase; and the rows of all tiles must be all output pixels, each once.
PLAN = """
#include <cstdio>
#include <map>
#include <set>
#include <tuple>

#include "../common/tiles.cuh"

using namespace course;

int main() {
  for (const Problem& listed : kProblems) {
    Problem problem = listed;
    problem.images = 4;
    const Plan p = make_plan(problem);
    std::map<std::tuple<int, int, int>, int> products;  // (output pixel, tap) -> input
    for (int i = 0; i < p.phases; ++i) {
      for (int t = 0; t < p.phase[i].tap_count(); ++t) {
        const Tap tap = p.taps[p.phase[i].first_tap + t];
        for (int row = 0; row < p.rows(); ++row) {
          const int in = input_of(p, row, tap);
          if (in < 0) continue;
          const std::tuple key{output_of(p, p.phase[i], row), tap.weight, 0};
          if (!products.emplace(key, in).second) return std::puts("a product twice"), 1;
        }
      }
    }
    std::size_t expected = 0;
    for (int n = 0; n < problem.images; ++n)
      for (int y = 0; y < problem.out_h; ++y)
        for (int x = 0; x < problem.out_w; ++x)
          for (int t = 0; t < problem.taps(); ++t) {
            const int iy = problem.source_y(y, t / problem.kernel);
            const int ix = problem.source_x(x, t % problem.kernel);
            if (iy < 0 || ix < 0) continue;
            ++expected;
            const int out = ((n * problem.out_h + y) * problem.out_w + x) * p.k;
            const auto found = products.find({out, t, 0});
            const int in = ((n * p.h + iy) * p.w + ix) * p.c;
            if (found == products.end() || found->second != in) return std::puts("a product"), 1;
          }
    if (products.size() != expected) return std::puts("too many products"), 1;
    for (int rows : {128, 256}) {
      const Tiles tiles = make_tiles(p, rows, 128);
      std::set<int> places;
      for (int i = 0; i < tiles.count; ++i)
        for (int row = 0; row < rows; ++row) {
          const int at = tiles.output_of(p, tiles.tile(p, i), row);
          if (at % 128 != 0 || at >= problem.outputs()) return std::puts("outside"), 1;
          if (!places.insert(at).second) return std::puts("an output twice"), 1;
        }
      if (128 * int64_t(places.size()) != problem.outputs()) return std::puts("outputs lack"), 1;
    }
    std::printf("%s %d phases\\n", problem.name, p.phases);
  }
}
"""


def test_phases_and_tiles_are_the_definition(tmp_path: Path) -> None:
    source = tmp_path / "plan.cpp"
    source.write_text(PLAN)
    program = build(source, ["-O1", f"-I{folder() / 'gpu'}"])
    done = subprocess.run([program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert done.stdout.split("\n")[:2] == ["conv3x3 1 phases", "tconv2 4 phases"]


def tool() -> ModuleType:
    path = ROOT / "tools" / "draw-gpu-ladder.py"
    if not path.exists():
        pytest.skip("needs a checkout")
    spec = importlib.util.spec_from_file_location("draw_gpu_ladder", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # which dataclasses look up
    spec.loader.exec_module(module)
    return module


NAIVE = {
    "rung": "01_naive",
    "problem": "conv3x3",
    "machine": "NVIDIA H200",
    "ms": 90.0,
    "gflops": 411.0,
    "peak_gflops": 67e3,
    "percent_of_peak": 0.61,
    "relative_error": 7e-6,
    "verified": True,
}
PYTORCH = {
    "rung": "PyTorch bf16",
    "problem": "tconv2",
    "ms": 0.05,
    "gflops": 459e3,
    "peak_gflops": 989e3,
    "percent_of_peak": 46.4,
    "relative_error": 0.01,
    "verified": True,
}
HANGS = {"rung": "01_naive", "problem": "tconv2", "wrong": "ended with 137", "verified": False}
LINES = [NAIVE, HANGS, PYTORCH]


def test_pages_are_filled_from_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    ladder = tool()
    for kept in ("docs/learn/ladder", "course/gpu"):
        shutil.copytree(ROOT / kept, tmp_path / kept)
    (tmp_path / "docs" / "images").mkdir()
    measured = tmp_path / "measured.jsonl"
    measured.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    ladder.main([str(measured), "--date", "2026-11-30", "--root", str(tmp_path)])
    pages = tmp_path / "docs" / "learn" / "ladder"
    table = (pages / "gpu.md").read_text()
    assert "NVIDIA H200, 2026-11-30" in table
    assert "| 90.000 | 0.41 | 0.6 | ended with 137 |  |  | 7e-06 |" in table
    assert "| PyTorch bf16 |  |  |  |  | 0.050 | 459 | 46.4 | 1e-02 |" in table
    widths = {line.count("|") for line in table.splitlines() if line.startswith("| [0")}
    assert widths == {10}
    assert (
        "conv3x3 0.41 TFLOPS, 0.6% of 67; tconv2 ended" in (pages / "gpu-01-naive.md").read_text()
    )
    assert (tmp_path / "docs" / "images" / "gpu-ladder.png").stat().st_size > 1000
    ladder.main(["--root", str(tmp_path)])  # and back to predictions alone
    assert "90.000" not in (pages / "gpu.md").read_text()
    measured.write_text("{}\n")
    with pytest.raises(SystemExit, match="line 1: expected a rung's JSON"):
        ladder.main([str(measured), "--root", str(tmp_path)])


COMPILER = """#!/bin/sh
# As nvcc: makes a program of two lines.
while [ $# -gt 1 ]; do [ "$1" = -o ] && program=$2; shift; done
case $program in
  */02_*) does='kill -KILL $$' ;;
  */03_*) echo 'error: x' >&2; exit 1 ;;
  */04_*) does='line false; exit 1' ;;
  *) does='line true' ;;
esac
cat > "$program" << END
#!/bin/sh
line() {
  echo "{\\"rung\\": \\"x\\", \\"problem\\": \\"\\$problem\\", \\"verified\\": \\$1}"
}
problem=\\$2
$does
END
chmod +x "$program"
"""


@pytest.mark.skipif(shutil.which("timeout") is None, reason="needs coreutils")
def test_a_rung_that_fails_keeps_none_from_its_line(tmp_path: Path) -> None:
    compiler, measured = tmp_path / "nvcc", tmp_path / "measured.jsonl"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    script = folder() / "gpu" / "measure.sh"
    command = ["bash", str(script), "--no-peers", str(measured)]
    environment = os.environ | {"NVCC": str(compiler)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    lines = [json.loads(text) for text in measured.read_text().splitlines()]
    assert [line["problem"] for line in lines] == ["conv3x3", "tconv2"] * len(RUNGS)
    assert [line["verified"] for line in lines] == [True] * 2 + [False] * 6 + [True] * 12
    assert lines[2]["wrong"] == "ended with 137" and lines[2]["rung"] == "02_coalesced"
    assert lines[5]["wrong"] == "does not compile" and "error: x" in done.stderr
    assert subprocess.run(["bash", str(script)], capture_output=True, check=False).returncode == 2
