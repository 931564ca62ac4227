"""By differences, in float64; and <conv x, dy> = <x, input_gradient(dy)>."""

import numpy as np


def conv(x, weight):
    _, k, _, _ = weight.shape
    h, w = x.shape[1] - k + 1, x.shape[2] - k + 1
    taps = [(a, b) for a in range(k) for b in range(k)]
    return sum(x[:, a : a + h, b : b + w] @ weight[:, a, b].T for a, b in taps)


def verify(own):
    random = np.random.default_rng(1)
    for n, h, w, c, k, out in ((1, 4, 4, 1, 2, 1), (2, 6, 5, 3, 3, 4)):
        case = f"{n}x{h}x{w}x{c}, kernel {k}, {out} outputs"
        x, weight = random.standard_normal((n, h, w, c)), random.standard_normal((out, k, k, c))
        y = conv(x, weight)
        dy = random.standard_normal(y.shape)
        dx, dw = own.input_gradient(dy, weight), own.weight_gradient(x, dy)
        assert dx.shape == x.shape, f"{case}: dx: expected {x.shape}, found {dx.shape}"
        assert dw.shape == weight.shape, f"{case}: dw: expected {weight.shape}, found {dw.shape}"
        # y is linear in both, so that differences are exact but for float64's rounding.
        v = random.standard_normal(x.shape)
        gap = abs(np.sum(conv(v, weight) * dy) - np.sum(v * dx))
        assert gap < 1e-10, f"{case}: dx is not the gradient in x ({gap:.3g})"
        v = random.standard_normal(weight.shape)
        gap = abs(np.sum(conv(x, v) * dy) - np.sum(v * dw))
        assert gap < 1e-10, f"{case}: dw is not the gradient in weights ({gap:.3g})"
