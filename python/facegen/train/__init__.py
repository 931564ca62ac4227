"""Training on facegen's own kernels, no framework installed; see docs/training.md.

    trainer = train.Trainer(graph, "cross_entropy", train.Adam(rate=1e-3))
    for images, labels in batches:
        losses = trainer.step(images, labels)

Here is what tasks share: what computes, and the loop of a run. Each task (faces, classifier,
digits, pix2pix, colorizer, segmentation) is a folder.
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
from facegen.train.held import Held
from facegen.train.hooks import Enough, Every
from facegen.train.in_parts import StepInParts
from facegen.train.join import join
from facegen.train.loop import Loop
from facegen.train.order import Batch, Order
from facegen.train.pieces import Pieces
from facegen.train.readers import Loaded, Reader
from facegen.train.reports import SILENT, Reports, finished
from facegen.train.running import Diverged
from facegen.train.schedules import cosine, one_cycle, steps, warm_up
from facegen.train.trainer import Trainer

__all__ = [
    "L1",
    "L2",
    "SGD",
    "SILENT",
    "Adam",
    "AdamW",
    "Batch",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Diverged",
    "Enough",
    "Every",
    "Given",
    "Group",
    "Held",
    "StepInParts",
    "Loaded",
    "Loop",
    "Loss",
    "Optimizer",
    "Order",
    "Pieces",
    "Reader",
    "RelativisticPairs",
    "Reports",
    "SoftCrossEntropy",
    "Trainer",
    "cosine",
    "finished",
    "join",
    "one_cycle",
    "steps",
    "warm_up",
]
