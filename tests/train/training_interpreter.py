"""Steps of training by their definitions, in NumPy and float64: the engine is measured by it.

Nothing here is shared with the package but the steps themselves. Values live where the program puts
them, in an arena full of NaN at first: a value that another overwrites too early shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from facegen.nn.grad import TrainingProgram, steps
from facegen.nn.program import Axis, AxisTaps


class Interpreter:
    """Runs a program on arrays (parameters, moments, averages), float64, which it changes.

    After `step`, `gradients` holds those of the mean loss, by parameter; `input_gradients` those
    that the program keeps.
    """

    def __init__(self, program: TrainingProgram, arrays: Mapping[str, np.ndarray]) -> None:
        self.program = program
        self.arrays = {name: np.array(array, np.float64) for name, array in arrays.items()}
        self.statistics: dict[str, np.ndarray] = {}
        self.gradients: dict[str, np.ndarray] = {}
        self.losses = np.zeros(0)

    def loss(
        self, x: Sequence[np.ndarray], y: Sequence[np.ndarray], number: int = 0, seed: int = 0
    ) -> float:
        """The mean loss of a batch; nothing changes."""
        self._start(x, y, number, seed)
        self._do(self.program.forward)
        return float(self.losses.mean())

    def step(
        self,
        x: Sequence[np.ndarray],
        y: Sequence[np.ndarray],
        rates: Sequence[float] = (),
        number: int = 0,
        seed: int = 0,
    ) -> np.ndarray:
        """Losses of the images; with rates, the arrays change."""
        self._start(x, y, number, seed)
        self._do(self.program.forward)
        self._do(self.program.backward)
        self.input_gradients = {
            name: self._at(f"d({name})").copy() for name in self.program.input_gradients
        }
        if len(rates):
            length = np.sqrt(sum(np.sum(g**2) for g in self.gradients.values()))
            clip = self.program.clip_norm
            scale = 1.0 if clip is None else min(1.0, clip / (length + 1e-6))
            for step in self.program.update:
                if isinstance(step, steps.Update):
                    self._update(step, rates, scale, number)
                else:
                    self._do([step])
        return self.losses

    def _start(
        self, x: Sequence[np.ndarray], y: Sequence[np.ndarray], number: int, seed: int
    ) -> None:
        self.number, self.seed, self.images = number, seed, len(x[0])
        self.inputs = [np.array(given, np.float64) for given in x]
        self.targets = [np.array(given) for given in y]
        self.gradients = {}
        self.losses = np.zeros(self.images)
        self.arena = np.full(self.images * self.program.arena_floats, np.nan)

    def _do(self, part: Sequence[steps.TrainingStep]) -> None:
        for step in part:
            getattr(self, f"_do_{type(step).__name__}")(step)

    def _at(self, name: str) -> np.ndarray:
        """The place of a value: (images, height, width, channels)."""
        value, n = self.program.values[name], self.images
        if value.kind == "input":
            return self.inputs[value.index].reshape(n, *value.shape)
        if value.kind == "target":
            return self.targets[value.index].reshape(n, *value.shape)
        floats = value.shape.floats
        return self.arena[n * value.offset : n * (value.offset + floats)].reshape(n, *value.shape)

    def _write(self, name: str, value: np.ndarray, accumulate: bool = False) -> None:
        place = self._at(name)
        place[...] = place + value if accumulate else value

    # Sums of products.

    def _do_Gemm(self, s: steps.Gemm) -> None:
        ins, outs, weight = self._weight(s)
        if s.transposed:
            ins, outs, weight = outs, ins, weight.transpose(3, 1, 2, 0)
        x, place = self._at(s.x)[..., ins], self._at(s.y)[..., outs]
        y = np.zeros_like(place)
        for tap, inside, outside in _taps(s, x):
            y[outside] += x[inside] @ weight[:, tap[0], tap[1]].T
        if s.bias is not None:
            y = y + self.arrays[s.bias][outs]
        y = _activate(y, s)
        place[...] = place + y if s.accumulate else y

    def _do_WeightGradient(self, s: steps.WeightGradient) -> None:
        ins, outs, weight = self._weight(s)
        x, dy = self._at(s.x)[..., ins], self._at(s.dy)[..., outs]
        gradient = np.zeros(weight.shape)
        for tap, inside, outside in _taps(s, x):
            gradient[:, tap[0], tap[1]] += np.einsum("nyxo,nyxc->oc", dy[outside], x[inside])
        shape = self.program.parameters[s.weight]
        whole = self.gradients.setdefault(s.weight, np.zeros(shape))
        if s.part is None:
            whole[...] = gradient.reshape(shape)
            return
        of_group = s.part.in_channels // s.part.groups
        for row in range(s.part.out_channels):
            first = row // (s.part.out_channels // s.part.groups) * of_group
            whole[outs][row] = gradient[row, :, :, first : first + of_group]

    def _do_Depthwise(self, s: steps.Depthwise) -> None:
        x, y = self._at(s.x), np.zeros_like(self._at(s.y))
        for ty, tx, inside, outside in _depthwise_taps(s, x.shape, y.shape):
            y[outside] += x[inside] * self.arrays[s.weight][:, ty, tx, 0]
        if s.bias is not None:
            y = y + self.arrays[s.bias]
        self._write(s.y, y)

    def _do_DepthwiseGradient(self, s: steps.DepthwiseGradient) -> None:
        dx, dy = np.zeros_like(self._at(s.dx)), self._at(s.dy)
        for ty, tx, inside, outside in _depthwise_taps(s, dx.shape, dy.shape):
            dx[inside] += dy[outside] * self.arrays[s.weight][:, ty, tx, 0]
        self._write(s.dx, dx, s.accumulate)

    def _do_DepthwiseWeightGradient(self, s: steps.DepthwiseWeightGradient) -> None:
        x, dy = self._at(s.x), self._at(s.dy)
        gradient = np.zeros(self.program.parameters[s.weight])
        for ty, tx, inside, outside in _depthwise_taps(s, x.shape, dy.shape):
            gradient[:, ty, tx, 0] += (x[inside] * dy[outside]).sum(axis=(0, 1, 2))
        self.gradients[s.weight] = gradient

    def _do_BiasGradient(self, s: steps.BiasGradient) -> None:
        self.gradients[s.bias] = self._at(s.dy).sum(axis=(0, 1, 2))

    def _weight(self, s: Any) -> tuple[slice, slice, np.ndarray]:
        """The channels in and out that a step is of, and its weight, 0 between two groups."""
        weight = self.arrays[s.weight]
        weight = weight.reshape(weight.shape[0], *s.kernel_size, weight.shape[-1])
        if s.part is None:
            return slice(None), slice(None), weight
        ins = slice(s.part.first_in, s.part.first_in + s.part.in_channels)
        outs = slice(s.part.first_out, s.part.first_out + s.part.out_channels)
        of_group = weight.shape[3]
        joined = np.zeros((s.part.out_channels, *s.kernel_size, s.part.in_channels))
        for row in range(s.part.out_channels):
            first = row // (s.part.out_channels // s.part.groups) * of_group
            joined[row, :, :, first : first + of_group] = weight[s.part.first_out + row]
        return ins, outs, joined

    # Maps.

    def _do_Activate(self, s: steps.Activate) -> None:
        self._write(s.y, _activate(self._at(s.x), s))

    def _do_ActivateGradient(self, s: steps.ActivateGradient) -> None:
        self._write(s.dx, _before(s, self._at(s.dy), self._at(s.y)), s.accumulate)

    def _do_Prelu(self, s: steps.Prelu) -> None:
        x = self._at(s.x)
        self._write(s.y, np.where(x < 0, x * self.arrays[s.slope], x))

    def _do_PreluGradient(self, s: steps.PreluGradient) -> None:
        x, dy = self._at(s.x), self._at(s.dy)
        if s.trained:
            self.gradients[s.slope] = (dy * np.minimum(x, 0)).sum(axis=(0, 1, 2))
        if s.dx is not None:
            self._write(s.dx, dy * np.where(x < 0, self.arrays[s.slope], 1.0), s.accumulate)

    def _do_Multiply(self, s: steps.Multiply) -> None:
        self._write(s.y, self._at(s.x) * self._at(s.other), s.accumulate)

    def _do_MultiplySum(self, s: steps.MultiplySum) -> None:
        product, place = self._at(s.x) * self._at(s.dy), self._at(s.dx)
        over = tuple(i for i in (1, 2, 3) if place.shape[i] != product.shape[i])
        self._write(s.dx, product.sum(axis=over, keepdims=True), s.accumulate)

    def _do_Softmax(self, s: steps.Softmax) -> None:
        log = _log_softmax(self._at(s.x))
        self._write(s.y, log if s.log else np.exp(log))

    def _do_SoftmaxGradient(self, s: steps.SoftmaxGradient) -> None:
        y, dy = self._at(s.y), self._at(s.dy)
        if s.log:
            dx = dy - np.exp(y) * dy.sum(axis=3, keepdims=True)
        else:
            dx = y * (dy - (dy * y).sum(axis=3, keepdims=True))
        self._write(s.dx, dx, s.accumulate)

    def _do_Shuffle(self, s: steps.Shuffle) -> None:
        x = self._at(s.x)
        turned = x.reshape(*x.shape[:3], s.groups, -1).swapaxes(3, 4)
        self._write(s.y, turned.reshape(x.shape), s.accumulate)

    def _do_Rearrange(self, s: steps.Rearrange) -> None:
        x, place = self._at(s.x), self._at(s.y)
        n, b = len(x), s.block
        small, large = sorted((x.shape, place.shape), key=lambda shape: shape[1])
        (h, w), c = small[1:3], large[3]
        order = (0, 1, 3, 2, 4, 5) if s.depth_first else (0, 1, 4, 2, 5, 3)
        inner = (b, b, c) if s.depth_first else (c, b, b)
        if x.shape == small:
            y = x.reshape(n, h, w, *inner).transpose(order)
        else:
            y = x.reshape(n, h, b, w, b, c).transpose(tuple(np.argsort(order)))
        self._write(s.y, y.reshape(place.shape), s.accumulate)

    def _do_MaxPool(self, s: steps.MaxPool) -> None:
        x, y = self._at(s.x), self._at(s.y)
        for oy, ox, ys, xs in _windows(s, x.shape, y.shape):
            y[:, oy, ox] = x[:, ys, xs].max(axis=(1, 2))

    def _do_MaxPoolGradient(self, s: steps.MaxPoolGradient) -> None:
        x, y, dy = self._at(s.x), self._at(s.y), self._at(s.dy)
        dx = np.zeros_like(x)
        for oy, ox, ys, xs in _windows(s, x.shape, y.shape):
            window = x[:, ys, xs]
            flat = window.reshape(len(x), -1, x.shape[3])
            for image in range(len(x)):
                for c, first in enumerate(flat[image].argmax(axis=0)):
                    at = np.unravel_index(first, window.shape[1:3])
                    dx[image, ys.start + at[0], xs.start + at[1], c] += dy[image, oy, ox, c]
        self._write(s.dx, dx, s.accumulate)
        self._write(s.dx, _before(s, self._at(s.dx), x))

    def _do_GlobalAvgPool(self, s: steps.GlobalAvgPool) -> None:
        self._write(s.y, self._at(s.x).mean(axis=(1, 2), keepdims=True))

    def _do_GlobalAvgPoolGradient(self, s: steps.GlobalAvgPoolGradient) -> None:
        place = self._at(s.dx)
        pixels = place.shape[1] * place.shape[2]
        self._write(s.dx, np.broadcast_to(self._at(s.dy) / pixels, place.shape), s.accumulate)

    def _do_Copy(self, s: steps.Copy) -> None:
        part = self._at(s.x)[..., s.first_x : s.first_x + s.channels] * s.scale + s.shift
        if s.zero_rest:
            self._write(s.y, np.zeros_like(self._at(s.y)))
        place = self._at(s.y)[..., s.first_y : s.first_y + s.channels]
        place[...] = place + part if s.accumulate else part

    def _do_Resample(self, s: steps.Resample) -> None:
        x, y = self._at(s.x), self._at(s.y)
        down, across = _matrix(s.rows, x.shape[1]), _matrix(s.columns, x.shape[2])
        self._write(s.y, np.einsum("Yy,Xx,nyxc->nYXc", down, across, x).reshape(y.shape))

    def _do_ResampleGradient(self, s: steps.ResampleGradient) -> None:
        dx, dy = self._at(s.dx), self._at(s.dy)
        down, across = _matrix(s.rows, dx.shape[1]), _matrix(s.columns, dx.shape[2])
        self._write(s.dx, np.einsum("Yy,Xx,nYXc->nyxc", down, across, dy), s.accumulate)

    def _do_Dropout(self, s: steps.Dropout) -> None:
        x = self._at(s.x)
        draws = philox(x.size, self.seed + s.stream * 0x9E3779B97F4A7C15, self.number)
        kept = draws.reshape(x.shape) >= int(np.float32(s.share).astype(np.float64) * 2**32)
        self._write(s.y, np.where(kept, x / (1 - s.share), 0.0), s.accumulate)

    # Norms.

    def _do_BatchNorm(self, s: steps.BatchNorm) -> None:
        x = self._at(s.x)
        if s.stored:
            mean, var = self.arrays[s.mean], self.arrays[s.var]
        else:
            mean, var = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
        inverse = 1 / np.sqrt(var + s.eps)
        self.statistics[s.statistics] = np.stack([mean, inverse, var])
        y = self.arrays[s.gamma] * (x - mean) * inverse + self.arrays[s.beta]
        self._write(s.y, _activate(y, s))

    def _do_BatchNormGradient(self, s: steps.BatchNormGradient) -> None:
        mean, inverse, _ = self.statistics[s.statistics]
        self._norm_gradient(s, mean, inverse, (0, 1, 2), s.stored)

    def _do_InstanceNorm(self, s: steps.InstanceNorm) -> None:
        x = self._at(s.x)
        grouped = x.reshape(*x.shape[:3], s.groups, -1)
        members = grouped.shape[4]
        mean = grouped.mean(axis=(1, 2, 4)).repeat(members, axis=1)[:, np.newaxis, np.newaxis]
        var = grouped.var(axis=(1, 2, 4)).repeat(members, axis=1)[:, np.newaxis, np.newaxis]
        inverse = 1 / np.sqrt(var + s.eps)
        self._write(s.statistics, np.concatenate([mean, inverse], axis=3))
        y = self.arrays[s.gamma] * (x - mean) * inverse + self.arrays[s.beta]
        self._write(s.y, _activate(y, s))

    def _do_InstanceNormGradient(self, s: steps.InstanceNormGradient) -> None:
        mean, inverse = np.split(self._at(s.statistics), 2, axis=3)
        self._norm_gradient(s, mean, inverse, (1, 2), False, s.groups)

    def _do_LayerNorm(self, s: steps.LayerNorm) -> None:
        x = self._at(s.x)
        mean = x.mean(axis=3, keepdims=True)
        inverse = 1 / np.sqrt(x.var(axis=3, keepdims=True) + s.eps)
        self._write(s.statistics, np.concatenate([mean, inverse], axis=3))
        self._write(s.y, self.arrays[s.gamma] * (x - mean) * inverse + self.arrays[s.beta])

    def _do_LayerNormGradient(self, s: steps.LayerNormGradient) -> None:
        mean, inverse = np.split(self._at(s.statistics), 2, axis=3)
        dy, h = self._at(s.dy), (self._at(s.x) - mean) * inverse
        if s.trained:
            self.gradients[s.gamma] = (dy * h).sum(axis=(0, 1, 2))
            self.gradients[s.beta] = dy.sum(axis=(0, 1, 2))
        if s.dx is not None:
            g = dy * self.arrays[s.gamma]
            means = g.mean(axis=3, keepdims=True), (g * h).mean(axis=3, keepdims=True)
            self._write(s.dx, inverse * (g - means[0] - h * means[1]), s.accumulate)

    def _norm_gradient(
        self,
        s: Any,
        mean: np.ndarray,
        inverse: np.ndarray,
        over: tuple[int, ...],
        stored: bool,
        groups: int | None = None,
    ) -> None:
        g = _before(s, self._at(s.dy), self._at(s.y))
        h = (self._at(s.x) - mean) * inverse
        if s.trained:
            self.gradients[s.gamma] = (g * h).sum(axis=(0, 1, 2))
            self.gradients[s.beta] = g.sum(axis=(0, 1, 2))
        if s.dx is None:
            return
        g = g * self.arrays[s.gamma]
        if not stored:
            g = g - self._means(g, over, groups) - h * self._means(g * h, over, groups)
        self._write(s.dx, inverse * g, s.accumulate)

    @staticmethod
    def _means(g: np.ndarray, over: tuple[int, ...], groups: int | None) -> np.ndarray:
        """Means over pixels, and over a group's channels too."""
        means = g.mean(axis=over, keepdims=True)
        if groups is None:
            return means
        of_groups = means.reshape(*means.shape[:3], groups, -1).mean(axis=4, keepdims=True)
        return of_groups.repeat(means.shape[3] // groups, axis=4).reshape(means.shape)

    def _do_UpdateStatistics(self, s: steps.UpdateStatistics) -> None:
        mean, _, var = self.statistics[s.statistics]
        x = self._at(s.x)
        pixels = x.size // x.shape[3]
        for name, new in ((s.mean, mean), (s.var, var * pixels / max(1, pixels - 1))):
            self.arrays[name] = (1 - s.momentum) * self.arrays[name] + s.momentum * new

    # The ends.

    def _do_Loss(self, s: steps.Loss) -> None:
        p = self._at(s.prediction)
        t = self._at(s.target) if s.target is not None else np.zeros(0)
        if s.loss.kind == "cross_entropy":
            log = _log_softmax(p)
            counts = t[..., 0] >= 0
            one = (np.arange(p.shape[3]) == t) * 1.0
            numbers = -(log * one).sum(axis=3) * counts
            slopes = (np.exp(log) - one) * counts[..., np.newaxis] / counts.sum()
            losses = numbers.sum(axis=(1, 2)) * len(p) / counts.sum()
        elif s.loss.kind == "soft_cross_entropy":
            log = _log_softmax(p)
            losses = -(t * log).sum(axis=3).mean(axis=(1, 2))
            slopes = t.sum(axis=3, keepdims=True) * np.exp(log) - t
            slopes = slopes / (p.size / p.shape[3])
        elif s.loss.kind == "given":
            losses, slopes = len(p) * (p * t).sum(axis=(1, 2, 3)), t
        elif s.loss.kind == "relativistic_pairs":
            losses, slopes = _pairs(s.loss, p)
        else:
            numbers, slopes = {
                "binary_cross_entropy": lambda: (
                    np.logaddexp(0, p) - t * p,
                    1 / (1 + np.exp(-p)) - t,
                ),
                "l1": lambda: (np.abs(p - t), np.sign(p - t)),
                "l2": lambda: ((p - t) ** 2, 2 * (p - t)),
            }[s.loss.kind]()
            losses = numbers.mean(axis=(1, 2, 3))
            slopes = slopes / p.size
        self.losses = self.losses + s.loss.weight * losses
        self._write(s.gradient, s.loss.weight * slopes, s.accumulate)

    def _update(
        self, s: steps.Update, rates: Sequence[float], scale: float, number: int
    ) -> None:
        rate = rates[s.group]
        p, g = self.arrays[s.parameter], self.gradients[s.parameter] * scale
        if s.optimizer == "adamw":
            p = p * (1 - rate * s.weight_decay)
        else:
            g = g + s.weight_decay * p
        if s.optimizer == "sgd":
            if s.moments:
                v = self.arrays[s.moments[0]]
                v = g if number == 0 else s.momentum * v + g
                self.arrays[s.moments[0]] = v
                g = g + s.momentum * v if s.nesterov else v
            p = p - rate * g
        else:
            m, v = (self.arrays[name] for name in s.moments)
            m = s.betas[0] * m + (1 - s.betas[0]) * g
            v = s.betas[1] * v + (1 - s.betas[1]) * g**2
            self.arrays.update(zip(s.moments, (m, v), strict=True))
            m = m / (1 - s.betas[0] ** (number + 1))
            v = v / (1 - s.betas[1] ** (number + 1))
            p = p - rate * m / (np.sqrt(v) + s.eps)
        self.arrays[s.parameter] = p
        if s.average is not None:
            a = self.arrays[s.average]
            decay = rates[s.decay_group]
            self.arrays[s.average] = decay * a + (1 - decay) * p


def _log_softmax(p: np.ndarray) -> np.ndarray:
    shifted = p - p.max(axis=3, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=3, keepdims=True))


def _pairs(loss: Any, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses of the images and slopes of RelativisticPairs."""
    of_group = 4 if loss.penalty else 2
    scores = p.mean(axis=(1, 2, 3)).reshape(-1, of_group)
    slopes = np.zeros_like(scores)
    lead = scores[:, 1] - scores[:, 0]  # of the generated one
    losses = np.logaddexp(0, -lead if loss.generator else lead)
    slope = 1 / (1 + np.exp(lead if loss.generator else -lead))
    slopes[:, 1] = -slope if loss.generator else slope
    slopes[:, 0] = 0 if loss.generator else -slope
    if loss.penalty:
        changes = scores[:, :2] - scores[:, 2:]
        losses = losses + loss.penalty * (changes**2).sum(axis=1)
        slopes += 2 * loss.penalty * np.concatenate([changes, -changes], axis=1)
    slopes = slopes.reshape(-1, 1, 1, 1) / (len(scores) * p[0].size)
    return np.repeat(losses, of_group), np.broadcast_to(slopes, p.shape)


def _taps(s: Any, x: np.ndarray) -> Iterator[tuple[tuple[int, int], Any, Any]]:
    """Every weight tap, where x's pixels lie that it reads inside x, and the outputs that do."""
    everything = slice(None)
    for phase in s.phases:
        for ty, iy, oy in _axis_taps(phase.y, x.shape[1]):
            for tx, ix, ox in _axis_taps(phase.x, x.shape[2]):
                if len(iy) and len(ix):
                    inside, outside = (everything, *np.ix_(iy, ix)), (everything, *np.ix_(oy, ox))
                    yield (ty, tx), inside, outside


def _axis_taps(axis: Axis, size: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    outputs = np.arange(axis.out)
    for t in range(axis.taps):
        reads = outputs * axis.step + t * axis.dir + axis.base
        inside = (reads >= 0) & (reads < size)
        written = axis.out_origin + outputs * axis.out_step
        yield axis.first_tap + t * axis.tap_step, reads[inside], written[inside]


def _windows(s: Any, x: Any, y: Any) -> Iterator[tuple[int, int, slice, slice]]:
    for oy in range(y[1]):
        for ox in range(y[2]):
            starts = [o * s.stride[i] - s.padding[i] for i, o in enumerate((oy, ox))]
            ends = [min(start + s.kernel_size[i], x[1 + i]) for i, start in enumerate(starts)]
            ys, xs = (slice(max(0, a), b) for a, b in zip(starts, ends, strict=True))
            yield oy, ox, ys, xs


def _matrix(taps: AxisTaps, size: int) -> np.ndarray:
    """(outputs, inputs): what every output is made of."""
    matrix = np.zeros((len(taps.positions) // taps.taps, size))
    for i, (position, weight) in enumerate(zip(taps.positions, taps.weights, strict=True)):
        if position >= 0:
            matrix[i // taps.taps, position] += weight
    return matrix


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _normal(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _activate(x: np.ndarray, s: Any) -> np.ndarray:
    a, b = s.numbers
    functions = {
        "none": lambda: x,
        "relu": lambda: np.maximum(x, 0),
        "leaky_relu": lambda: np.where(x < 0, a * x, x),
        "tanh": lambda: np.tanh(x),
        "sigmoid": lambda: _sigmoid(x),
        "clip": lambda: np.clip(x, a, b),
        "elu": lambda: b * np.where(x < 0, a * np.expm1(x), x),
        "hard_sigmoid": lambda: np.clip(a * x + b, 0, 1),
        "hard_swish": lambda: x * np.clip(a * x + b, 0, 1),
        "silu": lambda: x * _sigmoid(a * x),
        "gelu": lambda: x * _normal(x),
        "gelu_tanh": lambda: _gelu_tanh(x),
        "mish": lambda: x * np.tanh(np.log1p(np.exp(x))),
        "softplus": lambda: np.log1p(np.exp(x)),
        "exp": lambda: np.exp(x),
        "log": lambda: np.log(x),
        "abs": lambda: np.abs(x),
        "sqrt": lambda: np.sqrt(x),
        "reciprocal": lambda: 1 / x,
        "sign": lambda: np.where(x < 0, -1.0, 1.0),
    }
    return functions[s.activation]()


def _before(s: Any, dy: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The gradient in what an activation reads, from that in what it gives; v as in grad/steps."""
    a, b = s.numbers
    gate = a * v + b
    slopes = {
        "none": lambda: np.ones_like(v),
        "relu": lambda: np.where(v > 0, 1.0, 0.0),
        "leaky_relu": lambda: np.where(v > 0, 1.0, a),
        "tanh": lambda: 1 - v**2,
        "sigmoid": lambda: v * (1 - v),
        "clip": lambda: ((v > a) & (v < b)) * 1.0,
        "elu": lambda: np.where(v > 0, b, v + a * b),
        "hard_sigmoid": lambda: ((v > 0) & (v < 1)) * a,
        "softplus": lambda: -np.expm1(-v),
        "exp": lambda: v,
        "sqrt": lambda: 0.5 / v,
        "reciprocal": lambda: -(v**2),
        "hard_swish": lambda: np.where(gate <= 0, 0.0, np.where(gate >= 1, 1.0, gate + a * v)),
        "silu": lambda: _sigmoid(a * v) * (1 + a * v * (1 - _sigmoid(a * v))),
        "gelu": lambda: _normal(v) + v * np.exp(-(v**2) / 2) / math.sqrt(2 * math.pi),
        "gelu_tanh": lambda: _difference(_gelu_tanh, v),
        "mish": lambda: _difference(lambda x: x * np.tanh(np.log1p(np.exp(x))), v),
        "log": lambda: 1 / v,
        "abs": lambda: np.sign(v),
        "sign": lambda: (np.abs(v) <= 1) * 1.0,
    }
    return dy * slopes[s.activation]()


def _difference(function: Callable[[np.ndarray], np.ndarray], x: np.ndarray) -> np.ndarray:
    """A derivative by the fourth-order difference: errors of about 1e-12."""
    h = 1e-3
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8 * near - far) / (12 * h)


def _depthwise_taps(
    s: Any, x: tuple[int, ...], y: tuple[int, ...]
) -> Iterator[tuple[int, int, Any, Any]]:
    """Every tap, x's pixels that it reads, and the outputs that do."""
    everything = slice(None)
    for ty in range(s.kernel_size[0]):
        for tx in range(s.kernel_size[1]):
            outs, ins = [], []
            for i, t in enumerate((ty, tx)):
                o = np.arange(y[1 + i])
                reads = o * s.stride[i] + t * s.dilation[i] - s.padding[i]
                inside = (reads >= 0) & (reads < x[1 + i])
                outs.append(o[inside])
                ins.append(reads[inside])
            if all(map(len, outs)):
                yield ty, tx, (everything, *np.ix_(*ins)), (everything, *np.ix_(*outs))


def philox(count: int, key: int, step: int) -> np.ndarray:
    """Words of Philox4x32-10 (Salmon et al. 2011), its counter a word's place / 4 and the step."""
    blocks, mask = np.arange(-(-count // 4), dtype=np.uint64), np.uint64(2**32 - 1)
    high = np.uint64(32)
    words = [blocks & mask, blocks >> high]
    words += [np.full_like(blocks, step & 0xFFFFFFFF), np.full_like(blocks, step >> 32)]
    key %= 2**64
    keys = [np.uint64(key & 0xFFFFFFFF), np.uint64(key >> 32)]
    for _ in range(10):
        a, b = words[0] * np.uint64(0xD2511F53), words[2] * np.uint64(0xCD9E8D57)
        words = [
            (b >> high) ^ words[1] ^ keys[0],
            b & mask,
            (a >> high) ^ words[3] ^ keys[1],
            a & mask,
        ]
        keys = [(keys[0] + np.uint64(0x9E3779B9)) & mask, (keys[1] + np.uint64(0xBB67AE85)) & mask]
    return np.stack(words, axis=1).reshape(-1)[:count]
