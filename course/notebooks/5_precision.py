# %% [markdown]
# # Precision
#
# How few bits does a network need? float32, float16, bfloat16, fixed point with two ways of rounding, 8-bit integers,
# and one bit.

# %%
import matplotlib.pyplot as plt
import numpy as np

from facegen import kernels

random = np.random.default_rng(1)

# %% [markdown]
# ## Floats
#
# bfloat16 is the upper half of a float32: its range, and 8 significant bits. float16 has 11 bits and a small range.


# %%
def bfloat16(x):
    """Rounded to the nearest, ties to even; still stored as float32."""
    bits = np.asarray(x, np.float32).view(np.uint32).astype(np.uint64)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32)


def float16(x):
    with np.errstate(over="ignore"):
        return np.asarray(x, np.float32).astype(np.float16).astype(np.float32)


x = np.array([1 / 3, 1e5, 1e-6], np.float32)
print("float32 ", x)
print("bfloat16", bfloat16(x))
print("float16 ", float16(x))
assert np.isinf(float16(x)[1]) and abs(bfloat16(x)[1] / 1e5 - 1) < 2**-8

# %% [markdown]
# ## A convolution of operands that are rounded
#
# Sums are kept in float32, as matrix units do. The error is that of one rounding of each operand, whatever the length of
# the sums, for errors are as often up as down.

# %%
x = random.standard_normal((1, 16, 16, 64)).astype(np.float32)
weight = random.standard_normal((32, 3, 3, 64)).astype(np.float32)
windows = np.lib.stride_tricks.sliding_window_view(
    np.pad(x[0], ((1, 1), (1, 1), (0, 0))).astype(float), (3, 3), (0, 1)
)
exact = np.einsum("yxcab,oabc->yxo", windows, weight.astype(float))
size = np.sqrt(np.mean(exact**2))
for name, rounded in {"float32": np.float32, "float16": float16, "bfloat16": bfloat16}.items():
    y = kernels.conv2d(rounded(x), rounded(weight), padding=1)[0]
    print(f"{name:9} error {np.sqrt(np.mean((y - exact) ** 2)) / size:.1e} of the output's size")

# %% [markdown]
# ## Fixed point, and why stochastic rounding
#
# <IL, FL>: IL bits before the point with the sign, FL behind it. An update of a weight that is smaller than half a step
# is lost by rounding to the nearest, every time. Rounding up with the probability of the fraction keeps it on average
# (Gupta et al. 2015). Here a linear regression is trained so.


# %%
def nearest(x, il, fl):
    return np.clip(np.round(x * 2.0**fl) / 2.0**fl, -(2.0 ** (il - 1)), 2.0 ** (il - 1) - 2.0**-fl)


def stochastic(x, il, fl):
    steps = np.floor(x * 2.0**fl + random.random(np.shape(x)))
    return np.clip(steps / 2.0**fl, -(2.0 ** (il - 1)), 2.0 ** (il - 1) - 2.0**-fl)


many = stochastic(np.full(200_000, 0.3 / 256), 4, 8) * 256
print(f"0.3 steps, rounded stochastically, are {many.mean():.3f} on average")
assert abs(many.mean() - 0.3) < 0.01  # 10 times the mean's own spread, sqrt(0.21 / 200,000)

features = random.standard_normal((256, 8))
truth = random.uniform(-1, 1, 8)
targets = features @ truth
losses = {}
for name, rounding in {
    "float64": lambda w, il, fl: w,
    "nearest": nearest,
    "stochastic": stochastic,
}.items():
    w, history = np.zeros(8), []
    for _ in range(400):
        gap = features @ w - targets
        history.append(np.mean(gap**2))
        w = rounding(w - 0.01 * features.T @ gap / len(gap), 4, 8)
    losses[name] = history
    print(
        f"{name:10} loss {history[-1]:.1e} after 400 steps in <4, 8>"
        if name != "float64"
        else f"{name:10} loss {history[-1]:.1e}"
    )
assert losses["stochastic"][-1] < losses["nearest"][-1]

figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
for name, history in losses.items():
    axis.plot(history, label=name)
axis.set(xlabel="step", ylabel="loss", yscale="log")
axis.legend()

# %% [markdown]
# ## Integers of 8 bits
#
# When a network is only used, 8 bits are mostly enough: a scale for the input, one for each output channel, products
# and sums in integers.

# %%
scale_x = np.abs(x).max() / 127
scale_w = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
qx, qw = np.round(x / scale_x), np.round(weight / scale_w)
y = (
    kernels.conv2d(qx.astype(np.float32), qw.astype(np.float32), padding=1)[0]
    * scale_x
    * scale_w.reshape(-1)
)
print(
    f"int8      error {np.sqrt(np.mean((y - exact) ** 2)) / size:.1e}; {weight.size} bytes, not {weight.nbytes}"
)

# %% [markdown]
# ## One bit
#
# With +1 and -1 a product is XOR and a sum counts bits: 64 products an instruction. As an approximation of a given
# network it is poor; networks that are trained so (BinaryNet) do without the rest.

# %%
a, b = np.sign(random.standard_normal((64, 512))), np.sign(random.standard_normal((32, 512)))
pa, pb = np.packbits(a > 0, axis=1), np.packbits(b > 0, axis=1)
ones = np.array([bin(byte).count("1") for byte in range(256)])
by_bits = 512 - 2 * ones[pa[:, np.newaxis] ^ pb].sum(-1)
assert np.array_equal(by_bits, a @ b.T)

signs = kernels.conv2d(np.sign(x), np.sign(weight), padding=1)[0]
factor = np.sum(signs * exact) / np.sum(signs**2)
print(
    f"one bit   error {np.sqrt(np.mean((factor * signs - exact) ** 2)) / size:.1e}; {weight.size // 8} bytes"
)

# %% [markdown]
# To go on: exercises 19 and 20; docs/accuracy.md has what facegen's own precisions err.
