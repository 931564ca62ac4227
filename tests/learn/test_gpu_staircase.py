"""The GPU staircase: how its programs are written everywhere, and that they are right on a GPU."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from facegen.cli.main import main
from facegen.engine.cuda import cuda_module
from facegen.errors import FacegenError
from facegen.learn import ladder
from facegen.learn.build import build
from facegen.learn.compilers import flags_of
from facegen.learn.course import Rung, folder, rungs
from facegen.learn.ladder import Row
from facegen.learn.peers import Peer
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
  // The second as gpu.cuh's kTinyGpuProblems, which a C++ compiler cannot read.
  const Problem tiny[] = {{"tiny conv3x3", false, 4, 8, 8, 128, 8, 8, 128, 3, 1, 1},
                          {"tiny tconv2", true, 4, 8, 8, 128, 16, 16, 128, 5, 2, 1}};
  for (Problem problem : {kProblems[0], kProblems[1], tiny[0], tiny[1]}) {
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
    expected = [f"{kind}{name}" for kind in ("", "tiny ") for name in ("conv3x3 1", "tconv2 4")]
    assert done.stdout.splitlines() == [f"{line} phases" for line in expected]


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


def row(name: str, **figures: Any) -> dict[str, Any]:
    return asdict(Row(name, "", name[0].isdigit(), **figures))


NAIVE = row("01_naive", ms=90.0, gflops=411.0, peak_gflops=67e3, percent_of_peak=0.61,
            relative_error=7e-6)  # fmt: skip
PYTORCH = row("PyTorch bf16", ms=0.05, gflops=459e3, peak_gflops=989e3, percent_of_peak=46.4,
              relative_error=0.01)  # fmt: skip
HANGS = row("01_naive", note="wrong: took too long")
REPORT = {
    "date": "2026-11-30",
    "staircase": "gpu",
    "machine": "NVIDIA H200",
    "panels": [
        {"problem": "conv3x3", "rows": [NAIVE], "ceilings": {}},
        {"problem": "tconv2", "rows": [HANGS, PYTORCH], "ceilings": {}},
    ],
}


def test_pages_are_filled_from_what_was_measured(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    draw = tool()
    for kept in ("docs/learn/ladder", "course/gpu"):
        shutil.copytree(ROOT / kept, tmp_path / kept)
    (tmp_path / "docs" / "images").mkdir()
    measured = tmp_path / "measured.json"
    measured.write_text(json.dumps(REPORT))
    draw.main([str(measured), "--root", str(tmp_path)])
    pages = tmp_path / "docs" / "learn" / "ladder"
    table = (pages / "gpu.md").read_text()
    assert "NVIDIA H200, 2026-11-30" in table
    assert "| 90.000 | 0.41 | 0.6 | wrong: took too long |  |  | 7e-06 |" in table
    assert "| PyTorch bf16 |  |  |  |  | 0.050 | 459 | 46.4 | 1e-02 |" in table
    widths = {line.count("|") for line in table.splitlines() if line.startswith("| [0")}
    assert widths == {10}
    page = (pages / "gpu-01-naive.md").read_text()
    assert "conv3x3 0.41 TFLOPS, 0.6% of 67; tconv2 wrong: took" in page
    assert (tmp_path / "docs" / "images" / "gpu-ladder.png").stat().st_size > 1000
    draw.main(["--root", str(tmp_path)])  # and back to predictions alone
    assert "90.000" not in (pages / "gpu.md").read_text()
    measured.write_text("{}\n")
    with pytest.raises(SystemExit, match="expected the report of facegen learn ladder gpu"):
        draw.main([str(measured), "--root", str(tmp_path)])


COMPILER = """#!/bin/sh
# As nvcc: makes a program that prints the line of the problem that it is asked for.
[ "$1" = --version ] && exit 0
while [ $# -gt 1 ]; do [ "$1" = -o ] && program=$2; shift; done
case $program in
  */.*-02_*) does='kill -KILL $$' ;;
  */.*-03_*) echo 'a note' >&2; echo 'x.cu(1): error: x' >&2; exit 1 ;;
  */.*-04_*) does='line false; exit 1' ;;
  *) does='line true' ;;
esac
cat > "$program" << END
#!/bin/sh
line() {
  echo "{\\"rung\\": \\"x\\", \\"problem\\": \\"\\$problem\\", \\"verified\\": \\$1}"
}
while [ \\$# -gt 1 ]; do [ "\\$1" = --problem ] && problem=\\$2; shift; done
$does
END
chmod +x "$program"
"""


@pytest.fixture
def on_ampere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A played compiler, the driver of a GPU before Hopper, and peers of which one fails."""

    def fails(problem: str) -> Iterator[Peer]:
        raise FacegenError("built without CUDA")

    compiler = tmp_path / "nvcc"
    compiler.write_text(COMPILER)
    compiler.chmod(0o755)
    monkeypatch.setenv("NVCC", str(compiler))
    monkeypatch.setenv("FACEGEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(ladder, "compute_capability", lambda: (8, 6))
    monkeypatch.setattr(ladder, "facegen_on_gpu", fails)
    peer = Peer("PyTorch bf16", 0.05, 459e3, peak_gflops=918e3, relative_error=0.01)
    monkeypatch.setattr(ladder, "pytorch_on_gpu", lambda problem: [peer])


def test_a_rung_that_fails_keeps_none_from_its_line(on_ampere: None, tmp_path: Path) -> None:
    report = tmp_path / "measured.json"
    assert main(["learn", "ladder", "gpu", "--json", str(report)]) == 1
    panels = json.loads(report.read_text())["panels"]
    assert [panel["problem"] for panel in panels] == ["conv3x3", "tconv2"]
    for panel in panels:
        notes = [each["note"] for each in panel["rows"]]
        assert len(notes) == len(RUNGS) + 2
        assert notes[0] == "" and notes[4:7] == [""] * 3
        assert "crashed (signal 9, Killed)" in notes[1]
        assert notes[2] == "wrong: does not compile: x.cu(1): error: x"
        assert notes[7:10] == ["needs a GPU of compute capability 9.0; this has 8.6"] * 3
        assert notes[10] == "not timed: built without CUDA"
        assert panel["rows"][-1]["percent_of_peak"] == pytest.approx(50)


def test_there_is_no_gpu(on_ampere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "compute_capability", lambda: None)
    with pytest.raises(FacegenError, match="needs an NVIDIA GPU, and the driver finds none"):
        ladder.climb("gpu")
