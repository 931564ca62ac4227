"""Training on facegen's own kernels, no framework installed; see docs/training.md.

    trainer = train.Trainer(graph, "cross_entropy", train.Adam(rate=1e-3))
    for images, labels in batches:
        losses = trainer.step(images, labels)

What is trained on what, with which pictures, is `facegen.train`; this is what computes.
"""

from facegen.nn.grad import (
    L1,
    L2,
    SGD,
    Adam,
    AdamW,
    BinaryCrossEntropy,
    CrossEntropy,
    Given,
    Group,
    Loss,
    Optimizer,
    RelativisticPairs,
    SoftCrossEntropy,
)
from facegen.train.join import join
from facegen.train.schedules import cosine, one_cycle, steps, warm_up
from facegen.train.trainer import Trainer

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
    "Optimizer",
    "RelativisticPairs",
    "SoftCrossEntropy",
    "Trainer",
    "cosine",
    "join",
    "one_cycle",
    "steps",
    "warm_up",
]
