"""Networks that are trained further, and the files that training writes: of any width."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from facegen import loading, weights
from facegen.errors import FormatError
from facegen.graphs import ONNX, GraphNetwork, same_computation
from facegen.networks.families import families_of
from facegen.networks.files import resolve
from facegen.networks.network import Network
from facegen.networks.recognise import read_any
from facegen.nn import Graph

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class Widths:
    """A network whose table is there for any width.

    Attributes
    ----------
    network
        The published one.
    graph
        The table of a width.
    width
        Of the published network.
    first
        The weight whose first axis is the width.
    """

    network: Network
    graph: Callable[[int], Graph]
    width: int
    first: str

    def extensions(self, width: int, half: bool = False) -> list[str]:
        """Of files that a network of this width is written to."""
        graphs = [".safetensors"] if half else [".safetensors", ONNX]
        if width != self.width:
            return graphs
        own = weights.extensions(self.network, half)
        return own + [each for each in graphs if each not in own]

    def read(self, path: Path) -> tuple[int, dict[str, np.ndarray]]:
        """The width of a file's network, and its weights.

        Raises
        ------
        FacegenError
            The file holds no such network of any width, is damaged, or is not there.
        OSError
            The file cannot be read.
        """
        path = resolve(path, self.network.name)
        model = self.network.model
        network, tensors = read_any(path, [self.network], families_of(model))
        first = tensors.get(self.first)
        width = 0 if first is None else len(first)
        if not width or not same_computation(network.graph(), self.graph(width)):
            raise FormatError(
                f"{path}: holds {network.name}, which is not the layers of {self.network.name} at "
                "any width"
            )
        return width, tensors

    def write(
        self, path: Path, width: int, tensors: Mapping[str, np.ndarray], half: bool = False
    ) -> None:
        """Write a network: its own formats for the published width, else its graph with it.

        Raises
        ------
        FormatError
            Another extension, or weights that are too large for float16.
        OSError
            The file cannot be written.
        """
        extension = os.path.splitext(os.fspath(path))[1].lower()
        if width == self.width and extension in weights.extensions(self.network, half):
            weights.write(path, self.network, tensors, half)
        else:
            name = self.network.name
            found = GraphNetwork.of(self.graph(width), dict(tensors), name)
            loading.write_graph(path, found, half)
