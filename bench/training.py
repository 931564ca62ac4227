"""Steps of training beside PyTorch's: images a second, on the CPU or a GPU.

python -m bench.training [--threads 1,2] [--turns 5] [--cases lenet-64,...] [--steps]
python -m bench.training --device cuda [--cases discriminator-256,...] [--steps]

Each engine is a process of its own; they take turns, the others waiting. Shown is the best turn's
rate, by the wall and, of one thread, by processor time, which other programs disturb less. PyTorch
runs eagerly, in channels_last; on a GPU also compiled (reduce-overhead), and with TF32 products.
Batches are on the host, and a step ends when its losses are there. With --steps, what each step of
the table takes here.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.tables import markdown_table
from facegen import nn, train
from facegen.networks import lenet
from facegen.nn import Graph, Shape

Step = Callable[[], Any]
WIDTH = 64


def generator(width: int = WIDTH) -> Graph:
    """DCGAN's as in PyTorch's tutorial: (1, 1, 100) -> (64, 64, 3)."""
    g = Graph("generator")
    x = g.input("z", Shape(1, 1, 100))
    channels = (100, 8 * width, 4 * width, 2 * width, width, 3)
    for i in range(5):
        window: dict[str, int] = {} if i == 0 else {"stride": 2, "padding": 1}
        tconv = nn.ConvTranspose2d(channels[i], channels[i + 1], 4, bias=False, **window)
        x = g.add(f"tconv{i}", tconv, x)
        if i < 4:
            x = g.add(f"g.norm{i}", nn.BatchNorm(channels[i + 1]), x)
            x = g.add(f"relu{i}", nn.ReLU(), x)
    g.output(g.add("tanh", nn.Tanh(), x))
    return g


def discriminator(width: int = WIDTH) -> Graph:
    """DCGAN's as in PyTorch's tutorial: (64, 64, 3) -> (1, 1, 1)."""
    g = Graph("discriminator")
    x = g.input("image", Shape(64, 64, 3))
    channels = (3, width, 2 * width, 4 * width, 8 * width)
    for i in range(4):
        conv = nn.Conv2d(channels[i], channels[i + 1], 4, stride=2, padding=1, bias=False)
        x = g.add(f"conv{i}", conv, x)
        if i:
            x = g.add(f"norm{i}", nn.BatchNorm(channels[i + 1]), x)
        x = g.add(f"leaky{i}", nn.LeakyReLU(0.2), x)
    g.output(g.add("score", nn.Conv2d(8 * width, 1, 4, bias=False), x))
    return g


def case(name: str) -> tuple[Graph, str, list[str], np.ndarray, np.ndarray]:
    """A graph, its loss, what is frozen, and a batch."""
    kind, count = name.rsplit("-", 1)
    n, random = int(count), np.random.default_rng(0)
    if kind == "lenet":
        return (
            lenet.graph(),
            "cross_entropy",
            [],
            *(
                random.random((n, 28, 28, 1), np.float32),
                random.integers(0, 10, n),
            ),
        )
    judge = discriminator()
    score = np.ones((n, 1, 1, 1), np.float32)
    if kind == "discriminator":
        images = random.uniform(-1, 1, (n, 64, 64, 3)).astype(np.float32)
        return judge, "binary_cross_entropy", [], images, score
    frozen = [node.name for node in judge.nodes if node.layer is not None]
    z = random.standard_normal((n, 1, 1, 100)).astype(np.float32)
    return train.join(generator(), judge), "binary_cross_entropy", frozen, z, score


CASES = ("lenet-64", "lenet-256", "discriminator-64", "generator-64")


def own_step(name: str, threads: int, precision: str, device: str = "cpu") -> Step:
    graph, loss, frozen, x, y = case(name)
    optimizer = train.Adam(rate=2e-4, betas=(0.5, 0.999))
    trainer = train.Trainer(
        graph, loss, optimizer, frozen=frozen, threads=threads, precision=precision, device=device
    )
    return lambda: trainer.step(x, y)


def torch_step(
    name: str, threads: int, device: str = "cpu", tf32: bool = False, compiled: bool = False
) -> Step:
    import torch
    from torch import nn as tnn
    from torch.nn import functional

    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    graph, loss, frozen, x, y = case(name)

    def module(layer: nn.Layer) -> tnn.Module:
        match layer:
            case nn.Conv2d() | nn.ConvTranspose2d():
                kind = tnn.Conv2d if isinstance(layer, nn.Conv2d) else tnn.ConvTranspose2d
                axis = layer.axes[0]
                return kind(
                    layer.in_channels,
                    layer.out_channels,
                    axis.kernel,
                    axis.stride,
                    axis.pad_front,
                    bias=layer.bias,
                )
            case nn.Linear():
                return tnn.Linear(layer.in_channels, layer.out_channels)
            case nn.BatchNorm():
                return tnn.BatchNorm2d(layer.channels)
            case nn.MaxPool2d():
                return tnn.MaxPool2d(layer.axes[0].kernel)
            case nn.LeakyReLU():
                return tnn.LeakyReLU(layer.slope, inplace=True)
        return {nn.ReLU: tnn.ReLU, nn.Tanh: tnn.Tanh, nn.Reshape: tnn.Flatten}.get(
            type(layer), tnn.Identity
        )()

    network = tnn.Sequential()
    for node in graph.nodes:
        if node.layer is not None:
            layer = module(node.layer)
            layer.requires_grad_(node.name not in frozen)
            network.append(layer)
    network = network.to(device, memory_format=torch.channels_last)
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, 2e-4, (0.5, 0.999), fused=True)
    images = torch.from_numpy(x).permute(0, 3, 1, 2)
    target = torch.from_numpy(y if y.ndim == 1 else y.reshape(-1))

    run = torch.compile(network, mode="reduce-overhead") if compiled else network

    def step() -> float:
        output = run(images.to(device))
        there = target.to(device)
        if loss == "cross_entropy":
            value = functional.cross_entropy(output, there)
        else:
            value = functional.binary_cross_entropy_with_logits(output.view(-1), there)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.detach())

    return step


ENGINES: dict[str, Callable[[str, int], Step]] = {
    "facegen": partial(own_step, precision="strict"),
    "facegen, float32": partial(own_step, precision="float32"),
    "PyTorch": torch_step,
}
ON_GPU: dict[str, Callable[[str, int], Step]] = {
    "facegen": partial(own_step, precision="float32", device="cuda"),
    "PyTorch": partial(torch_step, device="cuda"),
    "PyTorch, TF32": partial(torch_step, device="cuda", tf32=True),
    "PyTorch, compiled": partial(torch_step, device="cuda", compiled=True),
    "PyTorch, compiled, TF32": partial(torch_step, device="cuda", tf32=True, compiled=True),
}
SECONDS = 0.7  # of a turn, at least


Maker = tuple[Callable[..., Step], tuple[Any, ...]]  # a function that makes a step, its arguments


def work(pipe: Connection, maker: Maker) -> None:
    """Answer each message with the seconds of a step: by the wall, and of the processor."""
    make, arguments = maker
    step = make(*arguments)
    for _ in range(2):
        step()
    while pipe.recv():
        count, start, used = 0, time.perf_counter(), time.process_time()
        best = float("inf")
        while time.perf_counter() - start < SECONDS or count < 3:
            began = time.perf_counter()
            step()
            best = min(best, time.perf_counter() - began)
            count += 1
        pipe.send((best, (time.process_time() - used) / count))


def take_turns(makers: Mapping[str, Maker], turns: int) -> dict[str, list[float]]:
    """Each engine's least seconds of a step: by the wall, and of the processor."""
    context = multiprocessing.get_context("spawn")
    workers = {}
    for engine, maker in makers.items():
        here, there = context.Pipe()
        process = context.Process(target=work, args=(there, maker))
        process.start()
        workers[engine] = process, here
    found: dict[str, list[tuple[float, float]]] = {engine: [] for engine in makers}
    for _ in range(turns):
        for engine, (_, pipe) in workers.items():
            pipe.send(True)
            found[engine].append(pipe.recv())
    for process, pipe in workers.values():
        pipe.send(False)
        process.join()
    return {
        engine: [min(times) for times in zip(*all_, strict=True)] for engine, all_ in found.items()
    }


def measure(name: str, threads: int, turns: int, device: str) -> list[list[str]]:
    engines = ENGINES if device == "cpu" else ON_GPU
    makers = {engine: (make, (name, threads)) for engine, make in engines.items()}
    best = take_turns(makers, turns)
    images = int(name.rsplit("-", 1)[1])
    theirs = best["PyTorch"]
    return [
        [
            name,
            str(threads),
            engine,
            f"{images / wall:,.0f}",
            f"{theirs[0] / wall:.2f}",
            f"{images / used:,.0f}" if threads == 1 else "-",
            f"{theirs[1] / used:.2f}" if threads == 1 else "-",
        ]
        for engine, (wall, used) in best.items()
    ]


def show_steps(name: str, threads: int, precision: str, device: str) -> None:
    """The seconds of each step, the best of several."""
    graph, loss, frozen, x, y = case(name)
    trainer = train.Trainer(
        graph,
        loss,
        train.Adam(),
        frozen=frozen,
        threads=threads,
        precision=precision,
        device=device,
    )
    program = trainer.program
    best: np.ndarray | None = None
    for _ in range(30 if device == "cpu" else 2):
        trainer.step(x, y)
        seconds = np.array(trainer.step_seconds)
        best = seconds if best is None else np.minimum(best, seconds)
    assert best is not None
    rows = []
    steps = (*program.forward, *program.backward, *program.update)
    for step, kernel, seconds in zip(steps, trainer.kernels, best, strict=True):
        flops = program.flops(step) * len(x)
        rows.append(
            [
                step.name,
                type(step).__name__,
                kernel,
                f"{seconds * 1e3:.2f}",
                f"{flops / seconds / 1e9:.0f}" if flops and seconds else "-",
            ]
        )
    print(f"{name}, {threads} threads, {precision}: {best.sum() * 1e3:.1f} ms")
    print(markdown_table(["step", "op", "kernel", "ms", "GFLOP/s"], rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--precision", default="strict")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    rows = []
    for name in arguments.cases.split(","):
        for threads in map(int, arguments.threads.split(",")):
            if arguments.steps:
                show_steps(name, threads, arguments.precision, arguments.device)
                continue
            found = measure(name, threads, arguments.turns, arguments.device)
            rows += found
            print(*found, sep="\n", file=sys.stderr, flush=True)
    if rows:
        headers = ["case", "threads", "engine", "images/s", "ratio", "by processor", "ratio"]
        print(markdown_table(headers, rows))


if __name__ == "__main__":
    main()
