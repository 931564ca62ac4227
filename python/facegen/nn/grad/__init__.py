"""Gradients: a graph and a loss become a table of steps, forward, backward and update."""

from facegen.nn.grad.differentiate import differentiate
from facegen.nn.grad.losses import (
    L1,
    L2,
    BinaryCrossEntropy,
    CrossEntropy,
    Given,
    Loss,
    Losses,
    RelativisticPairs,
    SoftCrossEntropy,
)
from facegen.nn.grad.optimizers import SGD, Adam, AdamW, Group, Optimizer
from facegen.nn.grad.program import TrainingProgram

__all__ = [
    "L1",
    "L2",
    "SGD",
    "Adam",
    "AdamW",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Given",
    "Group",
    "Loss",
    "Losses",
    "Optimizer",
    "RelativisticPairs",
    "SoftCrossEntropy",
    "TrainingProgram",
    "differentiate",
]
