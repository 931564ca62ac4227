"""Against ones that spread through the stack, and products that are counted."""

import random


def verify(own):
    conv = own.Conv
    assert own.receptive_field([]) == 1, "an empty stack sees the pixel itself"
    three, seven = [conv(3, 1, 64, 64)] * 3, [conv(7, 1, 64, 64)]
    assert own.receptive_field(three) == own.receptive_field(seven) == 7, (
        f"three 3x3 layers and one 7x7 see 7 rows, found {own.receptive_field(three)} "
        f"and {own.receptive_field(seven)}"
    )
    dice = random.Random(1)
    for _ in range(100):
        channels = [dice.choice((1, 3, 8)) for _ in range(5)]
        stack = [
            conv(dice.choice((1, 3, 5)), dice.choice((1, 2)), channels[i], channels[i + 1])
            for i in range(dice.randint(1, 4))
        ]
        found, expected = own.receptive_field(stack), seen(stack)
        assert found == expected, f"receptive_field({stack}): expected {expected}, found {found}"
        side = dice.randint(1, 40)
        found, expected = own.multiply_adds(stack, side), cost(stack, side)
        case = f"multiply_adds({stack}, {side})"
        assert found == expected, f"{case}: expected {expected}, found {found}"


def seen(stack):
    rows = {0}
    for layer in reversed(stack):
        rows = {row * layer.stride + t for row in rows for t in range(layer.kernel)}
    return max(rows) - min(rows) + 1


def cost(stack, side):
    total = 0
    for layer in stack:
        side = len(range(0, side, layer.stride))
        total += side**2 * layer.kernel**2 * layer.in_channels * layer.out_channels
    return total
