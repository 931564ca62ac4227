"""The graph of a network by its name, or of any file that holds one."""

from __future__ import annotations

import os

import numpy as np

from facegen.errors import FacegenError
from facegen.lab.convnets import CONVNETS, vgg16, vgg19
from facegen.loading import read_whole
from facegen.networks import NETWORKS
from facegen.networks.families import mobilenet_v2 as mobile
from facegen.networks.families.resnet import NAMED
from facegen.networks.resnet import resnet
from facegen.networks.seeded import seeded_weights
from facegen.nn import Graph


def mobilenet_v2() -> Graph:
    """Sandler et al. 2018, table 2, widths times 1: depthwise 3x3 between 1x1."""
    blocks, channels = [], 32
    for expansion, outer, count in ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3),
                                    (6, 160, 3), (6, 320, 1)):  # fmt: skip
        for _ in range(count):
            blocks.append(mobile.Block(expansion * channels, outer, expansion > 1))
            channels = outer
    return mobile.graph(mobile.Sizes(32, tuple(blocks), 1280, 1000))


LECTURES = {**CONVNETS, "vgg16": vgg16, "vgg19": vgg19, "mobilenet_v2": mobilenet_v2}


def names() -> list[str]:
    """Of networks that need no file."""
    return [*LECTURES, *NETWORKS, *(name for name in NAMED if name not in NETWORKS)]


def graph_of(name: str, expected: str = "a file") -> Graph:
    """The graph of a network.

    Parameters
    ----------
    name
        One of `names()`, or a file of a network in any format that `facegen.load` reads.
    expected
        What else the caller takes, for the error.

    Raises
    ------
    FacegenError
        There is neither a network nor a file of that name, or the file holds none.
    OSError
        The file cannot be read.
    """
    if name in LECTURES:
        return LECTURES[name]()
    if name in NETWORKS:
        return NETWORKS[name].graph()
    if name in NAMED:
        return resnet(name, NAMED[name]).graph()
    if not os.path.exists(name) and "." not in name and not name.startswith("default"):
        raise FacegenError(f"{name}: expected {expected}, or a network among {', '.join(names())}")
    return read_whole(name).graph


def with_weights(name: str) -> tuple[Graph, dict[str, np.ndarray]]:
    """The same with weights to compute with: the file's, or seeded ones."""
    if name in NETWORKS:
        return NETWORKS[name].graph(), NETWORKS[name].initial_weights(0)
    graph = graph_of(name)
    if name in LECTURES or name in NAMED:
        return graph, seeded_weights(graph.parameters, 0)
    return graph, dict(read_whole(name).weights)
