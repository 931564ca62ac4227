"""The model that a command computes with, and what there is to say of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from facegen.cli import terminal
from facegen.cli.options import device_used
from facegen.networks.files import resolve
from facegen.networks.model import Model
from facegen.networks.seeded import is_seeded

AnyModel = TypeVar("AnyModel", bound=Model)


def prepared(
    kind: Callable[..., AnyModel], network: str | None, engine: Mapping[str, Any]
) -> AnyModel:
    """A model of the network that was named, made ready on the device that was chosen.

    Parameters
    ----------
    kind
        The model's class, or `facegen.loading.load_known`.
    network
        As the command line has it.
    engine
        What `options.engine` gathered.
    """
    begin = time.perf_counter()
    model = kind(network, **engine)
    seconds = time.perf_counter() - begin
    if terminal.is_verbose():
        name = model.network.name
        terminal.detail(f"network {resolve(network, name)} ({name})")
        terminal.detail(
            f"on {device_used(model.runner)}, {engine['precision']}, ready in {seconds:.2f} s"
        )
    if is_seeded(model.weights):
        name = network or model.network.name
        terminal.warn_of_results(f"{name}: seeded weights, for trials: the result means nothing")
    return model
