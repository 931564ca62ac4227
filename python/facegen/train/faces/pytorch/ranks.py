"""Data parallel training: torchrun starts one process a GPU, each takes a part of every batch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from facegen.errors import FacegenError
from facegen.launchers import find_torchrun
from facegen.train.torch_device import torch_device


@dataclass(frozen=True)
class Ranks:
    """Where this process stands among those that train together."""

    rank: int
    count: int
    device: torch.device

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Average the gradients over all ranks, in one message.

        Done by hand rather than by DistributedDataParallel, whose hooks do not follow the second
        derivatives of the gradient penalty.
        """
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(
            gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True
        ):
            gradient.copy_(part.view_as(gradient))

    def same_everywhere(self, tensors: Iterable[Tensor]) -> None:
        """Give every rank the tensors of the first."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, 0)


@contextmanager
def join_ranks(device: str = "auto") -> Iterator[Ranks]:
    """Join the processes that torchrun started, or be the only one.

    `device` is "auto", "cpu", "cuda" or "cuda:1"; with several ranks each takes the GPU of its
    local number.

    Raises
    ------
    DeviceError
        There is no such device.
    FacegenError
        There are several processes, and no address at which they meet.
    """
    place = find_torchrun(os.environ)
    count, rank = place.size, place.rank
    if count > 1 and not os.environ.get("MASTER_ADDR"):
        raise FacegenError(
            f"started {count} times (RANK and WORLD_SIZE are set), but MASTER_ADDR is not: start "
            "it with torchrun, or set FACEGEN_RANKS=off where this process is to train by itself"
        )
    chosen = torch_device(device, int(os.environ.get("LOCAL_RANK", "0")) if count > 1 else None)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if count > 1:
        torch.distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(rank, count, chosen)
    finally:
        if count > 1:
            torch.distributed.destroy_process_group()
