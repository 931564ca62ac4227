"""A student's laboratory: what layers cost on paper, and what they take on the machine at hand.

| file | what it finds out |
|---|---|
| `stacks`, `cost`, `fields` | weights, multiply-adds, maps and receptive fields, counted |
| `convnets`, `named` | the networks of lectures, and any other, by name |
| `convolution` | one convolution by every algorithm |
| `gemm` | products of matrices, the package's and NumPy's |
| `precision`, `rounding` | how far sums of few bits are off |
| `scaling` | the same work on more threads |
| `bus` | every stage from the disk to the network |
| `machine`, `timing` | what the machine can do; how long things take, measured in turns |

Nothing here prints: `facegen lab` does (``facegen.cli.lab``).
"""
