"""What the models of all networks share: weights, made ready on a device once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from facegen import weights as weight_files
from facegen.engine import Runner, library_of
from facegen.errors import FormatError
from facegen.networks.families import families_of
from facegen.networks.files import read, resolve
from facegen.networks.network import Network
from facegen.networks.recognise import closest
from facegen.nn import Graph, lower

if TYPE_CHECKING:
    from typing_extensions import Self


def on_host(pictures: Any) -> Any:
    """An array of another library as NumPy's, of its very memory; all else as it is.

    Raises
    ------
    FormatError
        It is on a GPU, where no pictures are prepared, or cannot be shared.
    """
    library = library_of(pictures)
    if library is None:
        return pictures
    try:
        found = library.find(pictures)
    except (ValueError, BufferError) as error:
        raise FormatError(f"pictures: the array {error}") from None
    if found is not None:
        raise FormatError(
            f"pictures: the array is on cuda:{found.device}, and pictures are prepared on the host;"
            " pass it there, or what is prepared to the model's runner"
        )
    return library.to_numpy(pictures)


class Model:
    """A network's weights, and the runner that computes with them.

    Each network's model derives from it, is named where the network is listed (``networks/``), and
    adds a ``__call__`` that takes and returns what people have.

    Parameters
    ----------
    network
        A file (told by its content) or a dict of canonical weights; the package's own weights, for
        networks that have some, if None or "default".
    device, threads, precision, algorithm
        As for `facegen.load`.

    Raises
    ------
    FacegenError, ValueError, OSError
        As for `facegen.load`.

    Notes
    -----
    Safe to call from several threads at once; the GIL is released while it computes. A pickled
    model carries its weights and prepares itself anew where it is unpickled.
    """

    network: Network

    def __init__(
        self,
        network: str | os.PathLike[str] | Mapping[str, np.ndarray] | None = None,
        *,
        device: str = "auto",
        threads: int | None = None,
        precision: str = "float32",
        algorithm: str = "auto",
    ) -> None:
        if isinstance(network, Mapping):
            self.network = closest(network, self.networks())
            checked = weight_files.checked(network, self.network.shapes)
            self.weights = self.network.ordered(checked)
        else:
            known = self.networks()
            path = resolve(network, known[0].name)
            self.network, self.weights = read(path, known, families_of(type(self)))
        self._options: dict[str, Any] = {
            "device": device,
            "threads": threads,
            "precision": precision,
            "algorithm": algorithm,
        }
        self._prepare()

    @classmethod
    def of(cls, network: Network, weights: dict[str, np.ndarray], **options: Any) -> Self:
        """The model of a network that was recognised, with its canonical weights.

        Options and errors are those of the class.
        """
        model = cls.__new__(cls)
        model.network, model.weights = network, weights
        model._options = {
            "device": "auto", "threads": None, "precision": "float32", "algorithm": "auto",
        } | options  # fmt: skip
        model._prepare()
        return model

    @classmethod
    def networks(cls) -> list[Network]:
        """Those that the class, or one that it derives from, is the model of.

        First the one that is meant where none is named.
        """
        from facegen.networks import networks_of  # which import this module

        return next((found for each in cls.__mro__ if (found := networks_of(each.__name__))), [])

    @property
    def arithmetic(self) -> dict[str, Any]:
        """The options that results depend on: "precision" and "algorithm"."""
        return {name: self._options[name] for name in ("precision", "algorithm")}

    def __repr__(self) -> str:
        precision = self._options["precision"]
        name, device = type(self).__name__, self.runner.device
        return f"<{name} of {self.network.name} on {device}, {precision}>"

    def _graph(self) -> Graph:
        """What runs; a model whose outputs are not the network's own overrides it."""
        return self.network.graph()

    def _runner_of(self, graph: Graph) -> Runner:
        """A runner of the weights in a graph, by the model's options."""
        options = dict(self._options)
        return Runner(lower(graph, self.weights, options.pop("algorithm")), **options)

    def _prepare(self) -> None:
        self.runner = self._runner_of(self._graph())

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "runner"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._prepare()
