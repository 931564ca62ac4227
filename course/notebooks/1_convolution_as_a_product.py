# %% [markdown]
# # A convolution as a product of two matrices
#
# How seven loops become one matrix product, what that costs in memory, and what a transposed convolution has to
# do with it. Everything is checked against facegen's own kernels.

# %%
import matplotlib.pyplot as plt
import numpy as np

from facegen import kernels
from facegen.kernels.algorithms import definition
from facegen.nn import Conv2d, Shape

random = np.random.default_rng(1)

# %% [markdown]
# ## The definition
#
# Maps are (height, width, channels), weights (out, kernel row, kernel column, in). An output is a sum over the
# kernel's taps and the input's channels.

# %%
x = random.standard_normal((6, 7, 3)).astype(np.float32)
weight = random.standard_normal((4, 3, 3, 3)).astype(np.float32)


def conv_loops(x, weight):
    out, k, _, _ = weight.shape
    height, width = x.shape[0] - k + 1, x.shape[1] - k + 1
    y = np.zeros((height, width, out), np.float32)
    for i, j, o in np.ndindex(y.shape):
        y[i, j, o] = np.sum(x[i : i + k, j : j + k] * weight[o])
    return y


y = conv_loops(x, weight)
ours = kernels.conv2d(x[np.newaxis], weight)[0]
print("largest difference to facegen's:", np.abs(y - ours).max())
assert np.allclose(y, ours, atol=1e-4)  # sums of 27 products in float32, in another order

# %% [markdown]
# ## im2col
#
# The slice `x[i:i+k, j:j+k]` that an output reads, flattened, is a row of a matrix A. The weights of an output
# channel, flattened, are a column of B. Then y = A B: one product for the whole layer.


# %%
def im2col(x, k):
    height, width, c = x.shape[0] - k + 1, x.shape[1] - k + 1, x.shape[2]
    a = np.empty((height, width, k, k, c), x.dtype)
    for r in range(k):
        for s in range(k):
            a[:, :, r, s] = x[r : r + height, s : s + width]
    return a.reshape(height * width, k * k * c)


a, b = im2col(x, 3), weight.reshape(4, -1).T
print("A", a.shape, "B", b.shape, "->", (a @ b).shape)
assert np.allclose((a @ b).reshape(y.shape), y, atol=1e-4)

# %% [markdown]
# What it costs: every number of the input is in A up to k * k times. For layers of a real network:

# %%
layers = {
    "28x28x256, 3x3": (28, 256, 256, 3),
    "56x56x64, 3x3": (56, 64, 64, 3),
    "56x56x64, 7x7": (56, 64, 64, 7),
    "14x14x512, 1x1": (14, 512, 512, 1),
}
for name, (side, c, out, k) in layers.items():
    layer = Conv2d(c, out, k, padding=k // 2, bias=False)
    products = definition(layer, Shape(side, side, c))
    input_mb = side * side * c * 4e-6
    print(
        f"{name:16} {products / 1e6:7.0f} M products, input {input_mb:5.2f} MB, "
        f"A {input_mb * k * k:6.2f} MB"
    )

# %% [markdown]
# facegen's kernels do not make A: they have a table of pointers to its rows (the *indirect* GEMM, docs/kernels.md).
# The arithmetic is the same.
#
# ## The matrix of the convolution itself
#
# Flatten the map as well, and a convolution of it is a product with one large sparse matrix. Its transpose is the
# transposed convolution: that is where the name comes from.

# %%
side, k = 6, 3
kernel = random.standard_normal((k, k)).astype(np.float32)
toeplitz = np.zeros(((side - k + 1) ** 2, side**2), np.float32)
for i, j, r, s in np.ndindex(side - k + 1, side - k + 1, k, k):
    toeplitz[i * (side - k + 1) + j, (i + r) * side + j + s] = kernel[r, s]

figure, axes = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
limit = np.abs(toeplitz).max()
for axis, matrix, title in zip(
    axes, (toeplitz, toeplitz.T), ("convolution, 6x6 to 4x4", "transposed, 4x4 to 6x6"), strict=True
):
    axis.imshow(matrix, cmap="RdBu", vmin=-limit, vmax=limit)
    axis.set(title=title, xlabel="number of the input", ylabel="number of the output")

small = random.standard_normal((4, 4)).astype(np.float32)
by_matrix = (toeplitz.T @ small.ravel()).reshape(side, side)
by_facegen = kernels.conv_transpose2d(
    small[np.newaxis, :, :, np.newaxis], kernel[np.newaxis, :, :, np.newaxis]
)
assert np.allclose(by_matrix, by_facegen[0, :, :, 0], atol=1e-5)

# %% [markdown]
# ## Stride 2: zeros, or phases
#
# The textbook's transposed convolution of stride 2 puts zeros between the pixels and convolves that with the kernel
# turned round. Three of four products are by zero. But the outputs of even rows and columns all meet the same taps,
# and so do the three other kinds: four small convolutions without a zero.

# %%
x = random.standard_normal((1, 8, 8, 16)).astype(np.float32)
weight = random.standard_normal((8, 5, 5, 16)).astype(np.float32)
expected = kernels.conv_transpose2d(x, weight, stride=2, padding=1)

wide = np.zeros((1, 8 * 2 - 1 + 2 * 3, 8 * 2 - 1 + 2 * 3, 16), np.float32)
wide[:, 3:-3:2, 3:-3:2] = x
with_zeros = kernels.conv2d(wide, np.ascontiguousarray(weight[:, ::-1, ::-1]))
assert np.allclose(with_zeros, expected, atol=1e-3)

products = {"with zeros": with_zeros[0, :, :, 0].size * 25, "by phases": 0}
for py in range(2):
    for px in range(2):
        taps = [
            (ty, tx)
            for ty in range(5)
            for tx in range(5)
            if (py + 1 - ty) % 2 == (px + 1 - tx) % 2 == 0
        ]
        products["by phases"] += len(taps) * 8 * 8
        print(f"outputs (2y + {py}, 2x + {px}): {len(taps)} of 25 taps")
print({name: f"{count * 16 * 8:,} products" for name, count in products.items()})

# %% [markdown]
# To go on: exercises 7, 8, 10, 14 and 15 (`facegen learn list`).
