# %% [markdown]
# # What a GPU does with a tile
#
# No GPU is needed: what its memory does is counted in NumPy. A matrix product C = A B, such as a convolution is, on
# threads of 32 that read at the same moment (a warp), memory that comes in lines of 128 bytes, and shared memory of
# 32 banks.

# %%
import matplotlib.pyplot as plt
import numpy as np

M, N, K = 1024, 256, 2304  # a 3x3 convolution of 256 channels on 32x32 pixels
FLOAT, LINE, WARP, BANKS = 4, 128, 32, 32

# %% [markdown]
# ## Coalescing
#
# A warp's 32 loads are as many accesses as they touch lines. Where neighbouring threads compute neighbouring columns
# of C, their elements of B are neighbours, and that of A is one and the same. Where they compute neighbouring rows,
# their elements of A lie K floats apart.


# %%
def lines(addresses):
    """Lines that a warp touches, whose threads read floats at these places."""
    return len(np.unique(np.asarray(addresses) * FLOAT // LINE))


lane = np.arange(WARP)
k = 5
ways = {
    "neighbouring rows": (lines(lane * K + k), lines(np.full(WARP, k * N))),
    "neighbouring columns": (lines(np.full(WARP, k)), lines(k * N + lane)),
}
for name, (of_a, of_b) in ways.items():
    print(f"{name:21} A: {of_a:2} lines, B: {of_b} line(s) for 32 multiply-adds")
assert ways["neighbouring rows"][0] == 32 and ways["neighbouring columns"] == (1, 1)

# %% [markdown]
# ## Tiles in shared memory
#
# A block of threads that computes a tile of T x T outputs reads T rows of A and T columns of B once, and all its
# threads share them. Bytes from memory a multiply-add: T + T numbers for T * T products.

# %%
for tile in (1, 16, 64, 128):
    blocks = (M // tile) * (N // tile)
    read = blocks * 2 * tile * K * FLOAT
    print(
        f"tile {tile:3}: {read / 1e6:7.1f} MB read, {2 * M * N * K / read:5.1f} operations a byte"
    )

# %% [markdown]
# How many operations a byte must there be? The roofline: a machine does at most its peak, and at most what its memory
# feeds. For one H200, by its data sheet: 67 TFLOPS of float32, 4.8 TB/s.

# %%
peak, bandwidth = 67e12, 4.8e12
intensity = np.logspace(-1, 3, 200)
figure, axis = plt.subplots(figsize=(6, 3.5), layout="constrained")
axis.plot(intensity, np.minimum(peak, intensity * bandwidth) / 1e12, "k")
for tile in (1, 16, 64, 128):
    per_byte = 2 * tile * tile / (2 * tile * FLOAT)
    attainable = min(peak, per_byte * bandwidth)
    axis.plot(per_byte, attainable / 1e12, "o", label=f"tile {tile}")
axis.set(
    xscale="log", yscale="log", xlabel="operations a byte from memory", ylabel="TFLOPS at most"
)
axis.legend()
print(f"the ridge is at {peak / bandwidth:.0f} operations a byte")

# %% [markdown]
# ## The same once more, between shared memory and registers
#
# A multiply-add of two numbers from shared memory takes two loads. A thread with R x R sums in registers loads 2 R
# numbers for R * R multiply-adds. Shared memory gives 32 numbers a clock to a multiprocessor, which could multiply 128.

# %%
for r in (1, 2, 4, 8):
    clocks_to_load = 2 * r * WARP / 32
    clocks_to_multiply = r * r * WARP / 128
    share = clocks_to_multiply / max(clocks_to_load, clocks_to_multiply)
    print(
        f"{r} x {r} sums: {clocks_to_load:4.0f} clocks of loads, {clocks_to_multiply:4.1f} of work: {share:4.0%}"
    )

# %% [markdown]
# (Loads of four numbers at once, and of one number for several threads, change the constant: that is why 8 x 8 is
# enough in practice.)
#
# ## Bank conflicts
#
# Address i of shared memory is in bank i % 32, and a bank gives one number a clock. Columns of a tile whose rows are
# 32 floats long are all in one bank; with rows of 33 in 32 different ones.


# %%
def clocks(addresses):
    """Clocks that a warp's loads of shared memory take; the same address is one load."""
    banks = np.unique(np.asarray(addresses)) % BANKS
    return int(np.bincount(banks, minlength=BANKS).max())


for row_length in (32, 33, 36):
    print(
        f"rows of {row_length}: a row in {clocks(lane)} clock, a column in {clocks(lane * row_length)}"
    )
assert clocks(lane * 32) == 32 and clocks(lane * 33) == 1

# %% [markdown]
# ## Two buffers
#
# A step fetches tiles (F clocks until they are there), then multiplies them (W clocks). One after the other that is F + W
# a step; with the next tiles on their way meanwhile, the larger of both.

# %%
fetch, work, steps = 600, 500, 6
figure, axis = plt.subplots(figsize=(8, 2.2), layout="constrained")
for step in range(steps):
    axis.broken_barh([(step * (fetch + work), fetch)], (3, 0.8), color="tab:orange")
    axis.broken_barh([(step * (fetch + work) + fetch, work)], (2, 0.8), color="tab:blue")
    begin = step * max(fetch, work)
    axis.broken_barh([(begin, fetch)], (1, 0.8), color="tab:orange")
    axis.broken_barh([(fetch + begin, work)], (0, 0.8), color="tab:blue")
axis.set_yticks(
    [0.4, 1.4, 2.4, 3.4],
    ["two: multiply", "two: fetch", "one buffer: multiply", "one buffer: fetch"],
)
axis.set(xlabel="clocks")
one, two = steps * (fetch + work), fetch + (steps - 1) * max(fetch, work) + work
print(f"one buffer: {one} clocks, two: {two} ({one / two:.2f} times faster)")

# %% [markdown]
# ## The tile, step by step
#
# The whole algorithm in NumPy, block by block: it is what exercise 26 computes.

# %%
random = np.random.default_rng(1)
a = random.standard_normal((128, 96)).astype(np.float32)
b = random.standard_normal((96, 64)).astype(np.float32)
c = np.empty((128, 64), np.float32)
T, D = 32, 16
for row in range(0, 128, T):  # a block of the grid
    for column in range(0, 64, T):
        sums = np.zeros((T, T), np.float32)  # the registers of all its threads
        for k in range(0, 96, D):
            shared_a, shared_b = (
                a[row : row + T, k : k + D],
                b[k : k + D, column : column + T],
            )  # fetched
            for d in range(D):  # each thread: a column of shared_a meets a row of shared_b
                sums += np.outer(shared_a[:, d], shared_b[d])
        c[row : row + T, column : column + T] = sums
assert np.allclose(c, a @ b, atol=1e-4)

# %% [markdown]
# To go on: exercises 23 to 28, which are verified without a GPU; `facegen learn ladder gpu` with one.
