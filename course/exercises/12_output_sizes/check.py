"""Against counting: where can the kernel stand?"""

from itertools import product


def verify(own):
    for size, kernel, stride, padding, dilation in product(
        range(1, 9), range(1, 5), (1, 2, 3), (0, 1, 2), (1, 2)
    ):
        rows = size + 2 * padding
        stands = [y for y in range(0, rows, stride) if y + dilation * (kernel - 1) < rows]
        if stands:
            found = own.conv_size(size, kernel, stride, padding, dilation)
            case = f"conv_size({size}, {kernel}, {stride}, {padding}, {dilation})"
            assert found == len(stands), f"{case}: expected {len(stands)}, found {found}"
    for size, kernel, stride in product(range(1, 9), range(1, 6), (1, 2, 3)):
        for padding in range(kernel // 2 + 1):
            touched = {i * stride + t for i in range(size) for t in range(kernel)}
            rows = max(touched) + 1 - 2 * padding
            if rows > 0:
                found = own.transposed_size(size, kernel, stride, padding)
                case = f"transposed_size({size}, {kernel}, {stride}, {padding})"
                assert found == rows, f"{case}: expected {rows}, found {found}"
        expected = same(size, kernel, stride)
        found = own.same_padding(size, kernel, stride)
        case = f"same_padding({size}, {kernel}, {stride})"
        assert found == expected, f"{case}: expected {expected}, found {found}"


def same(size, kernel, stride):
    out = len(range(0, size, stride))
    for total in range(kernel + 1):
        if len([y for y in range(0, size + total, stride) if y + kernel <= size + total]) >= out:
            return total // 2, total - total // 2
    raise AssertionError("no padding is enough")
