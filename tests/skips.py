"""Why tests were skipped, in one line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable


def summary(reasons: Iterable[str]) -> str:
    """As "2,170 skipped: 2,167 no GPU: no driver; 3 PyTorch is not installed"; "" for none.

    What stands in round brackets, mostly the extra that would install something, is left out.
    """
    counts = Counter(" ".join(re.sub(r"\([^)]*\)", "", reason).split()) for reason in reasons)
    if not counts:
        return ""
    found = "; ".join(f"{count:,} {reason}" for reason, count in counts.most_common())
    return f"{counts.total():,} skipped: {found}"
