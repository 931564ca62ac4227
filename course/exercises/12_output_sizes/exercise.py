"""Exercise 12: how large is the map that comes out?"""

from __future__ import annotations


def conv_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Rows that a convolution makes of `size` rows, with `padding` rows of zeros at each end."""
    # YOUR CODE: this function, and the two below.
    raise NotImplementedError("YOUR CODE")


def transposed_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Rows that a transposed convolution makes of `size` rows; `padding` are cut off each end."""
    raise NotImplementedError("YOUR CODE")


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """(before, after): TensorFlow's SAME, with which a convolution makes ceil(size / stride) rows.

    As little as is needed, and where that is an odd number the larger half behind.
    """
    raise NotImplementedError("YOUR CODE")


# END
