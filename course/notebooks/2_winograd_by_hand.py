# %% [markdown]
# # Winograd by hand
#
# Two outputs of three taps with four products in the place of six, where that comes from, and what it costs in
# accuracy.

# %%
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np

from facegen import kernels

random = np.random.default_rng(1)

# %% [markdown]
# ## F(2, 3)
#
# y0 = d0 g0 + d1 g1 + d2 g2 and y1 = d1 g0 + d2 g1 + d3 g2 are six products. With
#
#     m1 = (d0 - d2) g0                  m2 = (d1 + d2) (g0 + g1 + g2) / 2
#     m4 = (d1 - d3) g2                  m3 = (d2 - d1) (g0 - g1 + g2) / 2
#
# they are y0 = m1 + m2 + m3 and y1 = m2 - m3 - m4: four. What is done to g is done once, when a network is loaded.

# %%
d, g = random.standard_normal(4), random.standard_normal(3)
m1 = (d[0] - d[2]) * g[0]
m2 = (d[1] + d[2]) * (g[0] + g[1] + g[2]) / 2
m3 = (d[2] - d[1]) * (g[0] - g[1] + g[2]) / 2
m4 = (d[1] - d[3]) * g[2]
y = np.array([m1 + m2 + m3, m2 - m3 - m4])
assert np.allclose(y, [d[:3] @ g, d[1:] @ g])

# %% [markdown]
# As matrices, y = A^T [(G g) * (B^T d)]. In two dimensions each is applied along rows and along columns:
# Y = A^T [(G g G^T) * (B^T d B)] A. A tile of 2x2 outputs takes 16 products, the definition 36.

# %%
BT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float)
G = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
AT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], float)

d, g = random.standard_normal((4, 4)), random.standard_normal((3, 3))
y = AT @ ((G @ g @ G.T) * (BT @ d @ BT.T)) @ AT.T
expected = [[np.sum(d[i : i + 3, j : j + 3] * g) for j in range(2)] for i in range(2)]
assert np.allclose(y, expected)

# %% [markdown]
# With channels, the 16 products are sums over channels: 16 matrix products, tiles by channels times channels by
# outputs. That is where the time is, and it is 36 / 16 = 2.25 times less than the definition's.
#
# ## Larger tiles
#
# F(m, 3) of any m comes from points: polynomials are multiplied by their values at n = m + 2 points, one of which
# is infinity. (Exercise 16 is to write this function.)


# %%
def poly(roots):
    coefficients = [Fraction(1)]
    for root in roots:
        pairs = zip([Fraction(0), *coefficients], [*coefficients, Fraction(0)], strict=True)
        coefficients = [low - root * high for low, high in pairs]
    return coefficients


def matrices(m, r, points):
    points = [Fraction(point) for point in points]
    AT = [[p**i for p in points] + [Fraction(int(i == m - 1))] for i in range(m)]
    G, BT = [], []
    for j, p in enumerate(points):
        others = points[:j] + points[j + 1 :]
        scale = np.prod([p - q for q in others])
        G.append([p**k / scale for k in range(r)])
        BT.append([*poly(others), Fraction(0)])
    G.append([Fraction(int(k == r - 1)) for k in range(r)])
    BT.append(poly(points))
    return tuple(np.array(matrix, float) for matrix in (AT, G, BT))


POINTS = {
    2: [0, 1, -1],
    4: [0, 1, -1, 2, -2],
    6: [0, 1, -1, 2, -2, Fraction(1, 2), Fraction(-1, 2)],
}


def conv_winograd(x, weight, m, dtype):
    """(h, w, c), (out, 3, 3, c) -> (h - 2, w - 2, out): h - 2 and w - 2 are multiples of m."""
    AT, G, BT = (matrix.astype(dtype) for matrix in matrices(m, 3, POINTS[m]))
    tiles = np.lib.stride_tricks.sliding_window_view(x, (m + 2, m + 2), (0, 1))[::m, ::m]
    u = np.einsum("ia,oabc,jb->ijoc", G, weight.astype(dtype), G)
    v = np.einsum("ia,yxcab,jb->ijyxc", BT, tiles.astype(dtype), BT)
    products = np.einsum("ijoc,ijyxc->ijyxo", u, v)
    y = np.einsum("ai,ijyxo,bj->yaxbo", AT, products, AT)
    return y.reshape(x.shape[0] - 2, x.shape[1] - 2, -1)


# %% [markdown]
# ## What it costs
#
# Larger tiles save more, but their matrices have larger numbers: rounding errors grow.

# %%
x = random.standard_normal((26, 26, 64))
weight = random.standard_normal((16, 3, 3, 64))
windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (0, 1))
exact = np.einsum("yxcab,oabc->yxo", windows, weight)
assert np.allclose(conv_winograd(x, weight, 4, np.float64), exact)

scale = np.sqrt(np.mean(exact**2))
errors = {
    "definition": np.einsum(
        "yxcab,oabc->yxo", windows.astype(np.float32), weight.astype(np.float32)
    )
}
errors |= {f"F({m}x{m}, 3x3)": conv_winograd(x, weight, m, np.float32) for m in POINTS}
errors = {name: np.sqrt(np.mean((y - exact) ** 2)) / scale for name, y in errors.items()}
saved = {"definition": 1.0} | {f"F({m}x{m}, 3x3)": 9 * m * m / (m + 2) ** 2 for m in POINTS}
for name, error in errors.items():
    print(f"{name:14} {saved[name]:4.2f} times fewer products, error {error:.1e}")

figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
axis.plot([saved[name] for name in errors], list(errors.values()), "o")
for name, error in errors.items():
    axis.annotate(name, (saved[name], error), xytext=(6, 4), textcoords="offset points")
axis.set(
    xlabel="times fewer products", ylabel="error, of the output's size", yscale="log", xlim=(0.8, 6), ylim=(1e-7, 5e-6)
)

# %% [markdown]
# facegen's own: it takes Winograd's algorithm where that is faster, and its errors are inside what "float32"
# promises (docs/accuracy.md).

# %%
x32, weight32 = x[np.newaxis].astype(np.float32), weight.astype(np.float32)
for algorithm in ("direct", "winograd"):
    y = kernels.conv2d(x32, weight32, algorithm=algorithm)[0]
    print(f"facegen, {algorithm:9}: error {np.sqrt(np.mean((y - exact) ** 2)) / scale:.1e}")
    assert np.abs(y - exact).max() < 1e-3

# %% [markdown]
# To go on: exercises 11 and 16; `facegen lab conv` measures where it pays on this machine.
