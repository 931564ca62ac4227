"""python -m bench.gpu: this package beside PyTorch on one GPU; --training: in training.

With --training --gpus: this package alone, on several GPUs.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    words = list(sys.argv[1:] if arguments is None else arguments)
    if "--training" in words:
        from bench.gpu import scaling, training

        several = any(word.partition("=")[0] == "--gpus" for word in words)
        main = scaling.main if several else training.main
        return main([word for word in words if word != "--training"])
    from bench.gpu import inference

    return inference.main(words)


if __name__ == "__main__":
    sys.exit(main())
