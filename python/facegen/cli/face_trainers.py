"""How `facegen train` has faces trained: by the package's own kernels, or by PyTorch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from facegen.cli.terminal import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from facegen.train import Reports
    from facegen.train.faces.data import Pictures
    from facegen.train.faces.settings import FaceSettings
    from facegen.train.ranks import Ranks


def by_own_kernels(
    pictures: Pictures,
    settings: FaceSettings,
    init: Mapping[str, np.ndarray] | None,
    reports: Reports,
    device: str,
    run: dict[str, Any],
    ranks: Ranks | None,
    discriminator_init: Mapping[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray] | None:
    """The trained weights; None in all ranks but the first.

    The folder gets the discriminator.

    Parameters
    ----------
    init, discriminator_init
        Weights that the generator and the discriminator start from.
    run
        Further arguments of `facegen.train.faces.run.train`.
    """
    from facegen.train.faces import discriminator
    from facegen.train.faces.adversaries import Adversaries
    from facegen.train.faces.run import train

    _tell(pictures, reports)
    threads = run["threads"]
    adversaries = Adversaries(
        pictures.pixels, settings, init, threads, reports.note, device, ranks, discriminator_init
    )
    trained = train(
        adversaries, pictures.pixels, settings, reports, device=device, ranks=ranks, **run
    )
    if ranks is not None and not ranks.first:
        return None
    if reports.folder is not None:
        learned, side = adversaries.discriminator.weights, pictures.pixels.shape[1]
        discriminator.write(reports.folder / discriminator.FILE, learned, settings.width, side)
    return trained


def by_torch(
    pictures: Pictures,
    settings: FaceSettings,
    init: Mapping[str, np.ndarray] | None,
    reports: Reports,
    device: str,
    run: dict[str, Any],
) -> dict[str, np.ndarray] | None:
    """As `by_own_kernels`, by PyTorch, whose own processes these are."""
    from dataclasses import replace

    from facegen.train.faces.pytorch.adversaries import TorchAdversaries
    from facegen.train.faces.pytorch.ranks import join_ranks
    from facegen.train.faces.run import train

    with join_ranks(device) as ranks:
        if not ranks.first:
            reports = replace(
                reports, writes=False, entry=lambda entry: None, note=lambda line: None,
            )  # fmt: skip
        reports.note(f"trains on {ranks.device}, by PyTorch")
        _tell(pictures, reports)
        adversaries = TorchAdversaries(pictures.pixels, settings, ranks, init)
        trained = train(adversaries, pictures.pixels, settings, reports, **run)
        return trained if ranks.first else None


def _tell(pictures: Pictures, reports: Reports) -> None:
    for reason in pictures.skipped[:10]:
        reports.note(f"skipped {reason}")
    found = counted(len(pictures), "picture")
    reports.note(f"{found}, {len(pictures.skipped):,} skipped")
