"""Speed-up by threads; pictures a second by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facegen.lab.bus import Stage
from facegen.lab.plots import canvas
from facegen.lab.scaling import Point


def draw_scaling(measured: Mapping[str, Sequence[Point]], path: str) -> None:
    """Speed-ups beside what would be ideal and what the machine's own peak does."""
    figure, ((axes,),) = canvas.figure()
    for i, (name, points) in enumerate(measured.items()):
        threads, ups = [p.threads for p in points], [p.speed_up for p in points]
        axes.plot(threads, ups, canvas.MARKERS[i] + "-", color=canvas.COLOURS[i], label=name)
    points = next(iter(measured.values()))
    threads = [p.threads for p in points]
    peak = [p.peak_gflops / points[0].peak_gflops for p in points]
    axes.plot(threads, [n / threads[0] for n in threads], ":", color="#888888", label="ideal")
    axes.plot(threads, peak, "--", color="#444444", label="peak of multiply-adds")
    axes.set_xticks(threads)
    ylabel = f"times as fast as on {threads[0]}"
    canvas.plain(axes, "strong scaling", "threads", ylabel)
    axes.legend(frameon=False, fontsize=8)
    canvas.save(figure, path)


def draw_stages(stages: Sequence[Stage], path: str) -> None:
    """Bars, the slowest in the warm colour."""
    figure, ((axes,),) = canvas.figure(height=0.45 * len(stages) + 1)
    slowest = min(stages, key=lambda stage: stage.rate)
    for i, stage in enumerate(stages):
        axes.barh(i, stage.rate, color=canvas.COLOURS[1 if stage is slowest else 2])
        axes.annotate(f" {stage.rate:,.0f}", (stage.rate, i), va="center", fontsize=8)
    axes.set_yticks(range(len(stages)), [stage.name for stage in stages])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.15)
    canvas.plain(axes, "stages, each by itself", "pictures a second", "")
    canvas.save(figure, path)
