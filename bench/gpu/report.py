"""What was measured on a GPU, as a Markdown table a network and batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.gpu.ceilings import Ceilings
from bench.tables import MISSING, markdown_table

HEADERS = ["", "images/s", "us a batch", "TFLOPS", "of the product's ceiling",
           "host to host", "of its limit", "max abs error"]  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One contender on one batch size; seconds are medians, of a batch."""

    label: str
    unit: str
    products: int
    seconds: float
    host_seconds: float | None
    max_abs_error: float


@dataclass(frozen=True)
class Cell:
    network: str
    batch: int
    gflop: float  # of an image, by the definition
    bytes_in: int  # of an image
    bytes_out: int
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = ()  # who was not measured, and why


def ceilings_table(found: Ceilings) -> str:
    rows = [
        [f"matrix product {unit}", f"{value:.0f} TFLOPS"] for unit, value in found.tflops.items()
    ]
    rows.append(["copy to the device", f"{found.to_device:.1f} GB/s"])
    rows.append(["copy to the host", f"{found.to_host:.1f} GB/s"])
    return markdown_table(["ceiling", "measured"], rows)


def cell_table(cell: Cell, ceilings: Ceilings) -> str:
    """Fastest first. TFLOPS count the definition's multiply-adds as 2, whatever is done for them.

    The share of the ceiling counts the products that the tensor cores do: three for each of the
    definition's in float32 accuracy.
    """
    rows = [_row(row, cell, ceilings) for row in sorted(cell.rows, key=lambda row: row.seconds)]
    title = f"### {cell.network}, batch {cell.batch:,}"
    problems = "\n".join(f"- {problem}" for problem in cell.problems)
    return f"{title}\n\n{markdown_table(HEADERS, rows)}" + (problems and f"\n\n{problems}")


def _row(row: Row, cell: Cell, ceilings: Ceilings) -> Sequence[str]:
    rate = cell.batch / row.seconds
    tflops = rate * cell.gflop / 1e3
    share = 100 * tflops * row.products / ceilings.tflops[row.unit]
    host, of_limit = MISSING, MISSING
    if row.host_seconds is not None:
        bus = min(ceilings.to_device / cell.bytes_in, ceilings.to_host / cell.bytes_out) * 1e9
        host_rate = cell.batch / row.host_seconds
        host, of_limit = f"{host_rate:,.0f}", f"{100 * host_rate / min(rate, bus):.0f}%"
    return [row.label, f"{rate:,.0f}", f"{1e6 * row.seconds:,.0f}", f"{tflops:.1f}",
            f"{share:.0f}%", host, of_limit, f"{row.max_abs_error:.0e}"]  # fmt: skip
