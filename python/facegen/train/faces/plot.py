"""The log of a training run as a picture."""

from __future__ import annotations

from pathlib import Path

from facegen.files import state

_PANELS = {
    "loss": ("discriminator", "generator"),
    "gradient penalty, with the loss or alone": ("penalised", "penalty"),
    "sliced Wasserstein distance x 1000": ("swd64", "swd32", "swd16", "swd"),
    "against real pictures (1 is alike)": ("diversity", "nearest"),
}


def draw_log(log: Path, picture: Path) -> bool:
    """Draw the lines of a log.jsonl; False, and nothing drawn, where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    entries = list(state.read_lines(log, follow=True))
    figure = Figure(figsize=(10, 6), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 2).flat, _PANELS.items(), strict=True):
        for name in names:
            points = [(e["step"], e[name]) for e in entries if e.get(name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=name)
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize="small")
    figure.axes[1].set_yscale("log")
    figure.savefig(picture, dpi=90)
    return True
