"""Algorithms of convolution: times over a sweep, who is first where, and the roofline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from facegen.lab.convolution import Case, Measured
from facegen.lab.plots import canvas

# What may be swept, by the words on an axis.
_SWEPT = {
    "kernel": lambda case: case.kernel,
    "channels": lambda case: case.in_channels,
    "images": lambda case: case.batch,
}


def draw(found: Sequence[Measured], copy_gbs: float, path: str) -> None:
    """A map of winners over two sweeps, lines over one, bars of one case; and the roofline."""
    figure, ((left, right),) = canvas.figure(2, width=6.0, height=4.4)
    names = [result.algorithm for result in found[0].results]
    swept = [word for word, of in _SWEPT.items() if len({of(m.case) for m in found}) > 1]
    if swept[:2] == ["kernel", "channels"]:
        _winners(left, found, names)
    elif swept:
        _lines(left, found, names, swept[0])
    else:
        _bars(left, found[0])
    _roofline(right, found, names, copy_gbs)
    canvas.save(figure, path)


def _style(names: Sequence[str], name: str) -> tuple[str, str]:
    i = names.index(name) % len(canvas.COLOURS)
    return canvas.COLOURS[i], canvas.MARKERS[i]


def _lines(axes: Any, found: Sequence[Measured], names: Sequence[str], word: str) -> None:
    of = _SWEPT[word]
    for name in names:
        points = [
            (of(m.case), 1e3 * result.times.median)
            for m in found
            for result in m.results
            if result.algorithm == name and result.times is not None
        ]
        if points:
            colour, marker = _style(names, name)
            axes.plot(*zip(*points, strict=True), marker + "-", color=colour, label=name)
    values = list(dict.fromkeys(of(m.case) for m in found))
    axes.set_yscale("log")
    if word != "kernel":
        axes.set_xscale("log", base=2)
    axes.set_xticks(values, list(map(str, values)))
    axes.minorticks_off()
    canvas.plain(axes, f"time by {word}: {_rest(found[0].case, word)}", word, "ms")
    axes.legend(frameon=False, fontsize=8)


def _rest(case: Case, word: str) -> str:
    """What was not swept."""
    parts = {
        "size": f"{case.height}x{case.width}",
        "channels": f"{case.in_channels} > {case.out_channels} channels",
        "kernel": f"{case.kernel}x{case.kernel}",
    }
    return ", ".join(text for key, text in parts.items() if key != word)


def _winners(axes: Any, found: Sequence[Measured], names: Sequence[str]) -> None:
    """The first of each cell, with how many times as fast as "direct" it is."""
    kernels = sorted({m.case.kernel for m in found})
    channels = sorted({m.case.in_channels for m in found})
    labels = set()
    for m in found:
        winner = m.winner
        if winner is None or winner.times is None:
            continue
        x, y = kernels.index(m.case.kernel), channels.index(m.case.in_channels)
        colour, _ = _style(names, winner.algorithm)
        label = winner.algorithm if winner.algorithm not in labels else None
        labels.add(winner.algorithm)
        axes.bar(x, 1, 1, y - 0.5, color=colour, edgecolor="white", label=label)
        direct = [r.times for r in m.results if r.algorithm == "direct" and r.times]
        if direct:
            text = f"{direct[0].median / winner.times.median:.1f}x"
            axes.text(x, y, text, ha="center", va="center", fontsize=8, color="white")
    axes.set_xticks(range(len(kernels)), [f"{k}x{k}" for k in kernels])
    axes.set_yticks(range(len(channels)), list(map(str, channels)))
    case = found[0].case
    title = f"who is first, and by how much before direct: {case.height}x{case.width}"
    canvas.plain(axes, title, "kernel", "channels")
    axes.grid(visible=False)
    axes.legend(frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=6)


def _bars(axes: Any, measured: Measured) -> None:
    run = [result for result in measured.results if result.times is not None]
    names = [result.algorithm for result in measured.results]
    for i, result in enumerate(run):
        assert result.times is not None
        value = 1e3 * result.times.median
        axes.barh(i, value, color=_style(names, result.algorithm)[0])
        axes.annotate(f" {value:.3g} ms", (value, i), va="center", fontsize=8)
    axes.set_yticks(range(len(run)), [result.algorithm for result in run])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.2)
    canvas.plain(axes, str(measured.case), "ms", "")


def _roofline(axes: Any, found: Sequence[Measured], names: Sequence[str], copy_gbs: float) -> None:
    """Rates of the definition against operations a byte, below what the machine has to give."""
    peak = max(m.peak_gflops for m in found)
    at = [m.case.intensity for m in found]
    low, high = min(*at, peak / copy_gbs) / 2, max(*at, peak / copy_gbs) * 2
    xs = np.geomspace(low, high, 100)
    axes.loglog(xs, np.minimum(peak, copy_gbs * xs), "--", color="#444444", linewidth=1.2)
    axes.annotate(f"peak {peak:.0f} GFLOP/s", (high, peak), ha="right", va="bottom", fontsize=8)
    for name in names:
        points = [
            (m.case.intensity, result.gflops)
            for m in found
            for result in m.results
            if result.algorithm == name and result.times is not None
        ]
        if points:
            colour, marker = _style(names, name)
            axes.plot(*zip(*points, strict=True), marker, color=colour, label=name, markersize=5)
    title = f"roofline: {copy_gbs:.1f} GB/s of copying"
    canvas.plain(axes, title, "FLOP by the definition a byte", "GFLOP/s by the definition")
    axes.legend(frameon=False, fontsize=8)
