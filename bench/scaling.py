"""How images a second grow with ranks, against one rank: `python -m bench.scaling`.

    python -m bench.scaling --ranks 1,2 --threads 1                 # the processors of this machine
    python -m bench.scaling --ranks 1,2,4 --device cuda             # a GPU a rank
    python -m bench.scaling --ranks 1,2,4 --launcher mpirun         # over MPI

Every number of ranks is started anew (`facegen launch` or mpirun) and runs `bench.scaling_job`:
each rank prepares its model first, results of all numbers of ranks are compared bit for bit, then
the same chunks are timed several times from the first to the last, with the results kept where
they were computed ("none"), or gathered in rank 0 as floats or, for DCGAN, as the text of OUTPUT.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import machine
from bench.arguments import numbers
from bench.tables import markdown_table

RESULTS = ("none", "float", "text")
# What Open MPI asks of those who are root, or want more ranks than processors.
_OPEN_MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
}


def main() -> int:
    options = _parse()
    rows: list[dict[str, Any]] = []
    for ranks in options.ranks:
        rows.append(_job(options, ranks))
        print(f"{ranks} ranks: {rows[-1]['images_per_second']}", file=sys.stderr, flush=True)
    report = {"machine": machine.describe(), "options": vars(options), "rows": rows}
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scaling.json").write_text(json.dumps(report, indent=2, default=str) + "\n")
    print(_table(options, rows))
    same = len({row["digest"] for row in rows}) == 1
    print("\nResults of all numbers of ranks: " + ("the same bits." if same else "DIFFERENT."))
    return 0 if same else 1


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ranks", type=numbers, default=[1, 2], help="1,2,4")
    parser.add_argument("--network", default="dcgan")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--threads", type=int, help="of a rank; all it has if not given")
    parser.add_argument("--chunk", type=int, default=64, help="images handed out at a time")
    parser.add_argument("--chunks", type=int, default=64, help="handed out in all")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--results", default="none,float", help=f"of {','.join(RESULTS)}")
    parser.add_argument("--launcher", choices=("launch", "mpirun"), default="launch")
    return parser.parse_args()


def _job(options: argparse.Namespace, ranks: int) -> dict[str, Any]:
    words = ["network", "device", "precision", "threads", "chunk", "chunks", "repeats", "results"]
    values = {word: getattr(options, word) for word in words}
    job = [sys.executable, "-m", "bench.scaling_job", json.dumps(values)]
    if options.launcher == "mpirun":
        command = ["mpirun", "-n", str(ranks), *job]
    else:
        command = [sys.executable, "-m", "facegen", "launch", "--raw", "-n", str(ranks), "--", *job]
    run = subprocess.run(
        command, env=os.environ | _OPEN_MPI, stdout=subprocess.PIPE, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {run.returncode}")
    row: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return {"ranks": ranks, **row}


def _table(options: argparse.Namespace, rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    headers, lines = ["ranks"], []
    for kind in first["images_per_second"]:
        headers += [f"{kind}: images/s", f"of {first['ranks']} rank's"]
    for row in rows:
        line = [str(row["ranks"])]
        for kind, rate in row["images_per_second"].items():
            share = rate * first["ranks"] / row["ranks"] / first["images_per_second"][kind]
            line += [f"{rate:,.0f}", f"{share:.0%}"]
        lines.append(line)
    title = (
        f"{options.network}, {options.precision}, on {first['device']} ({first['isa']}), chunks of "
        f"{options.chunk}, by {options.launcher}; {machine.describe()['date']}"
    )
    return f"{title}\n\n{markdown_table(headers, lines)}"


if __name__ == "__main__":
    sys.exit(main())
